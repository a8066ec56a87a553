//! Brings the schema up to date. Safe under load and when several do it at once.
//!
//! Each migration is a transaction that begins with taking an advisory lock, so that one process at a time applies one.
//! Locks on tables are asked for briefly, again and again: a request that waits behind a long transaction would make the
//! whole application wait behind it. Where nothing is to be done, nothing is locked or written, so that a process with few
//! rights starts as well. Nothing lasts longer than its transaction, so that all of this works through a pooler.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::time::{Instant, sleep};

use super::Error;

/// The migrations, embedded.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
/// What opens the transaction of one migration. No statement waits longer for a lock, and with it the application behind
/// it; "already exists, skipping" is for those who write migrations. Under another level one that waited for its turn would not see
/// what was done meanwhile.
const BEGIN: &str = "begin isolation level read committed
  ; set local lock_timeout = '2s'; set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0
  ; set local client_min_messages = warning";
/// Where it is written down what has been applied. `create schema if not exists` wants the right to create also where it
/// has nothing to do, and an administrator may have made the schema for us.
const PREPARE: &str = "do $$
  begin
    if to_regnamespace('postrider') is null then
      create schema postrider;
    end if;
    if to_regclass('postrider.migrations') is null then
      create table postrider.migrations (
        version bigint primary key
      , description text not null
      , installed_on timestamptz not null default now()
      , success boolean not null
      , checksum bytea not null
      , execution_time bigint not null
      );
    end if;
  end $$";
/// What a statement ends with that waited so long.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// From a try that waited in vain to the next one: the application catches up meanwhile.
const PAUSE: Duration = Duration::from_secs(1);
/// After this time of trying there is something an operator has to look at.
const PATIENCE: Duration = Duration::from_mins(10);

/// What has been applied and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The latest migration in the database, 0 for none.
    pub applied: i64,
    /// The latest one this program knows.
    pub known: i64,
}

/// A migration that was applied now, by us.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// What its file is called.
    pub name: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// Applies what is missing.
pub async fn run(options: &PgConnectOptions) -> Result<Progress, Error> {
    apply(options).await?;
    progress(options).await
}

/// Applies what is missing, and answers with what that was.
pub async fn apply(options: &PgConnectOptions) -> Result<Vec<Applied>, Error> {
    let started = Instant::now();
    let mut done = Vec::new();
    loop {
        let mut connection = connect(options).await?;
        let outcome = apply_on(&mut connection, &mut done).await;
        drop(connection.close().await);
        match outcome {
            Err(error) if waited_in_vain(&error) && started.elapsed() < PATIENCE => {
                tracing::info!("waiting for a lock that somebody else holds; trying again");
                sleep(PAUSE).await;
            }
            outcome => return outcome.map(|()| done),
        }
    }
}

/// How far the schema is.
pub async fn progress(options: &PgConnectOptions) -> Result<Progress, Error> {
    let mut connection = connect(options).await?;
    let applied = applied(&mut connection).await;
    drop(connection.close().await);
    Ok(Progress {
        applied: applied?.keys().max().copied().unwrap_or(0),
        known: known(),
    })
}

/// Connects once, and says at once why that cannot be done.
pub async fn reach(options: &PgConnectOptions) -> Result<(), Error> {
    drop(connect(options).await?.close().await);
    Ok(())
}

/// Connects. Poolers turn away who asks for what they do not know.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let options = options
        .clone()
        .application_name("postrider migrate")
        .extra_float_digits(None)
        // A migration is no statement that an operator could make faster; how long each took is reported.
        .disable_statement_logging();
    options.connect().await.map_err(Error::connecting(&options))
}

/// One try. What it got done is in `done` also where it fails in the middle.
async fn apply_on(connection: &mut PgConnection, done: &mut Vec<Applied>) -> Result<(), Error> {
    while missing(&applied(connection).await?)?.is_some() {
        done.extend(apply_next(connection).await?);
    }
    Ok(())
}

/// Applies the next one that is missing, unless another process has been here meanwhile.
async fn apply_next(connection: &mut PgConnection) -> Result<Option<Applied>, Error> {
    let started = Instant::now();
    let mut transaction = connection.begin_with(BEGIN).await.map_err(executing)?;
    // The number is a name: 'postrider' in ASCII, but for its last letter.
    for statement in [
        "select pg_advisory_xact_lock(x'706f737472696465'::bigint)",
        PREPARE,
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut *transaction)
            .await
            .map_err(executing)?;
    }
    let Some(migration) = missing(&applied(&mut transaction).await?)? else {
        return Ok(None);
    };
    let failed = |error| Error::Migrate(MigrateError::ExecuteMigration(error, migration.version));
    sqlx::raw_sql(migration.sql.clone())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let duration = started.elapsed();
    sqlx::query(
        "insert into postrider.migrations (version, description, success, checksum, execution_time) values ($1, $2, true, $3, $4)",
    )
    .bind(migration.version)
    .bind(&*migration.description)
    .bind(&*migration.checksum)
    .bind(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    .persistent(false)
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Some(Applied {
        version: migration.version,
        name: migration.description.to_string(),
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// For `map_err`.
fn executing(error: sqlx::Error) -> Error {
    Error::Migrate(MigrateError::Execute(error))
}

/// The latest migration this program knows.
fn known() -> i64 {
    let versions = MIGRATIONS.iter().map(|migration| migration.version);
    versions.max().unwrap_or(0)
}

/// What has been applied, with checksums; nothing where there is no schema.
async fn applied(connection: &mut PgConnection) -> Result<BTreeMap<i64, Vec<u8>>, Error> {
    let there: bool = sqlx::raw_sql("select to_regclass('postrider.migrations') is not null")
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::doing("look for the schema"))?;
    if !there {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::raw_sql("select version, checksum from postrider.migrations where success")
        .fetch_all(connection)
        .await
        .map_err(Error::doing("read the applied migrations"))?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<sqlx::Result<_>>()
        .map_err(Error::doing("read the applied migrations"))
}

/// The first migration that has not been applied. An error where the database and this program do not belong together.
fn missing(applied: &BTreeMap<i64, Vec<u8>>) -> Result<Option<&'static Migration>, Error> {
    if let Some(&ahead) = applied.keys().max()
        && ahead > known()
    {
        return Err(Error::SchemaTooNew {
            applied: ahead,
            known: known(),
        });
    }
    if let Some(changed) = MIGRATIONS.iter().find(|migration| {
        applied
            .get(&migration.version)
            .is_some_and(|checksum| *checksum != *migration.checksum)
    }) {
        return Err(Error::SchemaOfAnother(changed.version));
    }
    Ok(MIGRATIONS
        .iter()
        .find(|migration| !applied.contains_key(&migration.version)))
}

/// Whether it failed because somebody else held a lock for too long.
fn waited_in_vain(error: &Error) -> bool {
    let (Error::Driver { source, .. }
    | Error::Migrate(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _))) =
        error
    else {
        return false;
    };
    let code = source
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(LOCK_NOT_AVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    /// One that cannot be in a transaction needs another lock than ours, and a way to go on after half of it.
    #[test]
    fn every_migration_is_a_transaction() {
        assert!(MIGRATIONS.iter().all(|migration| !migration.no_tx));
    }
}
