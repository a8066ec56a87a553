//! How our statements reach the server: over connections of our own, or through a pooler that lends one a transaction.
//!
//! Over connections of our own each statement is prepared once and its settings stand for the session. Behind a pooler in
//! transaction mode neither lasts: the next message may reach another server. There each statement gets a transaction,
//! for which the pooler must keep one server, with its settings made for just that long, and a plan without a name, of
//! which nothing stays behind. It costs three more round trips, so it is done only where it must be.

use std::fmt::Write as _;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgPool, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    AssertSqlSafe, Describe, Either, Execute, Executor, Postgres, SqlSafeStr, SqlStr, Transaction,
};

/// A pool, and how to use it.
#[derive(Debug, Clone)]
pub(crate) struct Statements {
    /// The connections.
    pool: PgPool,
    /// What opens each transaction; none where the connections are our own.
    begin: Option<SqlStr>,
}

impl Statements {
    /// Over connections of our own, whose settings were made when they were opened.
    pub(super) fn direct(pool: PgPool) -> Self {
        Self { pool, begin: None }
    }

    /// Through a pooler: these settings are made anew in each transaction.
    pub(super) fn pooled(pool: PgPool, settings: &[(&str, &str)]) -> Self {
        Self {
            pool,
            begin: Some(begin_with(settings)),
        }
    }

    /// The connections themselves.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A transaction. Its statements must not be persistent: behind a pooler, what they leave would be met by others.
    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        match &self.begin {
            None => self.pool.begin().await,
            Some(begin) => self.pool.begin_with(begin.clone()).await,
        }
    }

    /// Everything a statement brings, in a transaction of its own: nobody may see a row before the commit has succeeded.
    async fn all<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> sqlx::Result<Vec<Either<PgQueryResult, PgRow>>> {
        let mut transaction = self.begin().await?;
        let results = transaction.fetch_many(Unnamed(query)).try_collect().await?;
        transaction.commit().await?;
        Ok(results)
    }
}

/// What opens a transaction with these settings.
pub(super) fn begin_with(settings: &[(&str, &str)]) -> SqlStr {
    // Too late for default_transaction_isolation, which is among them.
    let mut begin = String::from("begin isolation level read committed");
    for (name, value) in settings {
        // Writing to a String cannot fail.
        let _ = write!(begin, "; set local {name} = '{value}'");
    }
    AssertSqlSafe(begin).into_sql_str()
}

impl<'p> Executor<'p> for &'p Statements {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.begin.is_none() {
            return self.pool.fetch_many(query);
        }
        let results = async move {
            match self.all(query).await {
                Ok(results) => results.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        };
        stream::once(results).flat_map(stream::iter).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.begin.is_none() {
            return self.pool.fetch_optional(query);
        }
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let row = transaction.fetch_optional(Unnamed(query)).await?;
            transaction.commit().await?;
            Ok(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'p: 'e,
    {
        self.pool.describe(sql)
    }
}

/// A query that leaves no prepared statement behind.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
