//! Accounts: owners of instances.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::db::{Database, Error};
use crate::model::Reach;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Account {
    /// Private key.
    pub id: i64,
    /// Public id.
    pub uid: String,
    /// Public name.
    pub name: String,
    /// Whether its account tokens may make and remove accounts.
    pub operator: bool,
    /// How many instances it may have.
    pub instances_max: Option<i32>,
    /// How many it has.
    pub instances: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

impl Database {
    /// Makes an account and answers with its private key.
    pub async fn create_account(
        &self,
        name: &str,
        instances_max: Option<i32>,
    ) -> Result<i64, Error> {
        sqlx::query_scalar(
            "insert into postrider.accounts (name, instances_max) values ($1, $2) returning id",
        )
        .bind(name)
        .bind(instances_max)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("create the account"))
    }

    /// Accounts after this one, in the order of their keys; or just the one of this public id.
    pub async fn accounts(
        &self,
        uid: Option<&str>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Account>, Error> {
        sqlx::query_as(
            "-- accounts.list: a page, or one by its public id
            select account.id, account.uid::text, account.name, account.operator, account.instances_max, account.created_at
              , (select count(*) from postrider.instances instance where instance.account_id = account.id) as instances
            from postrider.accounts account
            where account.id > $2 and ($1::text is null or account.uid::text = $1)
            order by account.id limit $3",
        )
        .bind(uid)
        .bind(after)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list accounts"))
    }

    /// The account with this private key.
    pub async fn account(&self, id: i64) -> Result<Option<Account>, Error> {
        sqlx::query_as(
            "-- accounts.get: by its private key
            select account.id, account.uid::text, account.name, account.operator, account.instances_max, account.created_at
              , (select count(*) from postrider.instances instance where instance.account_id = account.id) as instances
            from postrider.accounts account where account.id = $1",
        )
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("read the account"))
    }

    /// All that the account of this name reaches.
    pub async fn reach_of(&self, name: &str) -> Result<Option<Reach>, Error> {
        let found: Option<(i64, bool)> =
            sqlx::query_as("select id, operator from postrider.accounts where name = $1")
                .bind(name)
                .fetch_optional(self.pool())
                .await
                .map_err(Error::refusal_or_doing("look the account up"))?;
        Ok(found.map(|(account, operator)| Reach {
            account,
            instance: None,
            operator,
        }))
    }

    /// Deletes an account with all it has. False when there is none, and for the operators' own.
    pub async fn delete_account(&self, id: i64) -> Result<bool, Error> {
        // What was pending is moved to the dead letters, however much that is.
        let mut transaction = self.unhurried().await?;
        let deleted = sqlx::query_scalar("select postrider.delete_account($1)")
            .persistent(false)
            .bind(id)
            .fetch_one(&mut *transaction)
            .await
            .map_err(Error::refusal_or_doing("delete the account"))?;
        let committed = transaction.commit().await;
        committed.map_err(Error::doing("delete the account"))?;
        Ok(deleted)
    }
}
