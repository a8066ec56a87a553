//! Instances: the tenants.

use std::collections::HashSet;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::crypto::{Keyring, token};
use crate::db::{Database, Error};
use crate::model::Reach;

/// A line of `postrider.instance_list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct InstanceLine {
    /// Its public id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its id in the form VZaps clients expect.
    pub vzaps_id: String,
    /// What envelopes that have a sender put there.
    pub sender: Option<String>,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// How many endpoints it has.
    pub endpoints: i64,
}

/// An instance to be made.
#[derive(Debug)]
pub struct NewInstance<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its token.
    pub token: &'a SecretString,
    /// What envelopes that have a sender put there.
    pub sender: Option<&'a str>,
    /// Whose it is.
    pub reach: Reach,
    /// What else its dialect keeps of it: a JSON object, nothing secret.
    pub details: Option<&'a serde_json::Value>,
}

impl Database {
    /// Makes an instance and answers with its public id.
    pub async fn create_instance(
        &self,
        new: &NewInstance<'_>,
        keyring: &Keyring,
    ) -> Result<String, Error> {
        let sealed = keyring.seal(new.token, &mut rand::rng());
        sqlx::query_scalar(
            "-- instances.create: by the public function
            select postrider.create_instance_of(account => $1, name => $2, token => $3, token_digest => $4, sender => $5, details => $6)::text",
        )
        .bind(new.reach.account)
        .bind(new.name)
        .bind(sealed)
        .bind(token::digest(new.token).as_slice())
        .bind(new.sender)
        .bind(new.details)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("create the instance"))
    }

    /// All instances, or the one of this name.
    pub async fn instances(&self, name: Option<&str>) -> Result<Vec<InstanceLine>, Error> {
        sqlx::query_as(
            "-- instances.list: all, or one by its name
            select id::text, name, vzaps_id, sender, created_at, endpoints from postrider.instance_list
            where $1::text is null or name = $1
            order by name",
        )
        .bind(name)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list instances"))
    }

    /// The tables whose captures name an instance, if there are any.
    pub async fn captures_naming(&self, name: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("select postrider.captures_naming($1)")
            .bind(name)
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("look for captures of the instance"))
    }

    /// Deletes an instance with its endpoints. False when there is none.
    pub async fn delete_instance(&self, name: &str) -> Result<bool, Error> {
        // What was pending is moved to the dead letters, however much that is.
        let mut transaction = self.unhurried().await?;
        let deleted = sqlx::query_scalar("select postrider.delete_instance($1)")
            .persistent(false)
            .bind(name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(Error::refusal_or_doing("delete the instance"))?;
        let committed = transaction.commit().await;
        committed.map_err(Error::doing("delete the instance"))?;
        Ok(deleted)
    }

    /// Of these private keys, those of instances that are still there.
    pub async fn present_instances(&self, keys: &[i64]) -> Result<HashSet<i64>, Error> {
        let present: Vec<i64> = sqlx::query_scalar(
            "-- instances.present: of those that somebody is connected to
            select id from postrider.instances where id = any($1)",
        )
        .bind(keys)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("look for instances"))?;
        Ok(present.into_iter().collect())
    }

    /// The token as it is stored. None where there is no such instance, or it has none.
    pub async fn instance_token(&self, name: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("select postrider.instance_token(instance => $1)")
            .bind(name)
            .fetch_one(self.pool())
            .await
            .map_err(Error::refusal_or_doing("read the instance's token"))
    }

    /// Gives an instance another token; the former one is worth nothing from then on. False when there is no such instance.
    pub async fn set_instance_token(
        &self,
        name: &str,
        token: &SecretString,
        keyring: &Keyring,
    ) -> Result<bool, Error> {
        let sealed = keyring.seal(token, &mut rand::rng());
        sqlx::query_scalar(
            "-- instances.set_token: by the public function; a trigger makes workers take it over
            select postrider.set_instance_token(instance => $1, token => $2, token_digest => $3)",
        )
        .bind(name)
        .bind(sealed)
        .bind(token::digest(token).as_slice())
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("set the instance's token"))
    }
}
