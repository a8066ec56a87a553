//! Whether this database is the one that delivers, or a copy of it.
//!
//! Production data restored in staging must not be sent to production's receivers. The cluster's system identifier and
//! the database's oid are written down when a worker first starts; a worker that finds others does not deliver until
//! `postrider adopt` says that this copy is now the original.

use super::{Database, Error};

/// Who this database says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The one that delivers.
    Original,
    /// A copy: what was written down, and what is there now.
    Copy {
        /// When the original was adopted.
        adopted_at: time::OffsetDateTime,
    },
}

impl Database {
    /// Whether this is the original. A database that has not been written down yet is, from now on.
    pub async fn identity(&self) -> Result<Identity, Error> {
        let row: Option<(bool, time::OffsetDateTime)> = sqlx::query_as(
            "-- installation.check: is this the database that delivers?
            with present as (
              select (select system_identifier from pg_control_system())::text as system_identifier
                , (select oid from pg_database where datname = current_database()) as database_oid
            ), written as (
              insert into postrider.installation (system_identifier, database_oid)
              select system_identifier, database_oid from present
              on conflict (one) do nothing
            )
            select (installation.system_identifier, installation.database_oid) = (present.system_identifier, present.database_oid)
              , installation.adopted_at
            from postrider.installation cross join present",
        )
        .fetch_optional(self.pool())
        .await
        .map_err(Error::doing("check whose copy this database is"))?;
        Ok(match row {
            Some((false, adopted_at)) => Identity::Copy { adopted_at },
            _ => Identity::Original,
        })
    }

    /// Makes this the database that delivers.
    ///
    /// The queue is counted anew: the depth of a copy goes by the transactions of the original, which mean nothing here.
    pub async fn adopt(&self) -> Result<(), Error> {
        let doing = "adopt this database";
        let mut transaction = self.pool().begin().await.map_err(Error::doing(doing))?;
        sqlx::query(
            "-- installation.adopt: this copy is the original now
            insert into postrider.installation (system_identifier, database_oid)
            select (select system_identifier from pg_control_system())::text, (select oid from pg_database where datname = current_database())
            on conflict (one) do update
              set system_identifier = excluded.system_identifier, database_oid = excluded.database_oid, adopted_at = now()",
        )
        .persistent(false)
        .execute(&mut *transaction)
        .await
        .map_err(Error::doing(doing))?;
        sqlx::raw_sql("set local statement_timeout = 0; select postrider.recount_queue()")
            .execute(&mut *transaction)
            .await
            .map_err(Error::doing(doing))?;
        transaction.commit().await.map_err(Error::doing(doing))
    }
}
