//! Brings the schema up to date. Safe under load and when several do it at once.
//!
//! Each migration is a transaction, and an advisory lock lets one process at a time apply them. Locks on tables are asked
//! for briefly, again and again: a request that waits behind a long transaction would make the whole application wait
//! behind it. Where nothing is to be done, nothing is locked or written, so that a process with few rights starts as well.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep};

use super::Error;

/// The migrations, embedded.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
/// What has been applied is written down here.
const TABLE: &str = "postrider.migrations";
/// The longest a statement waits for a lock, and with it the application behind it.
const LOCK_TIMEOUT: &str = "2s";
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
    let options = options
        .clone()
        .application_name("postrider migrate")
        .options([
            // "already exists, skipping" is for those who write migrations.
            ("client_min_messages", "warning"),
            ("lock_timeout", LOCK_TIMEOUT),
            ("statement_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
        ]);
    let started = Instant::now();
    let mut done = Vec::new();
    loop {
        let mut connection = connect(&options).await?;
        match apply_on(&mut connection, &mut done).await {
            Err(error) if waited_in_vain(&error) && started.elapsed() < PATIENCE => {
                tracing::info!("waiting for a lock that somebody else holds; trying again");
            }
            outcome => {
                // Also gives the advisory lock back, whatever has happened.
                drop(connection.close().await);
                return outcome.map(|()| done);
            }
        }
        drop(connection.close().await);
        sleep(PAUSE).await;
    }
}

/// How far the schema is.
pub async fn progress(options: &PgConnectOptions) -> Result<Progress, Error> {
    let mut connection = connect(options).await?;
    let progress = progress_on(&mut connection).await;
    drop(connection.close().await);
    progress
}

/// Connects.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    options
        .connect()
        .await
        .map_err(Error::doing("connect to the database"))
}

/// How far the schema is, on a connection at hand.
async fn progress_on(connection: &mut PgConnection) -> Result<Progress, Error> {
    let there: bool = sqlx::query_scalar("select to_regclass('postrider.migrations') is not null")
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::doing("look for the schema"))?;
    let applied = if there {
        sqlx::query_scalar(
            "select coalesce(max(version), 0) from postrider.migrations where success",
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::doing("read the applied migrations"))?
    } else {
        0
    };
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    Ok(Progress { applied, known })
}

/// One try. What it got done is in `done` also where it fails in the middle.
async fn apply_on(connection: &mut PgConnection, done: &mut Vec<Applied>) -> Result<(), Error> {
    let before = progress_on(connection).await?;
    if before.applied > 0 && missing(connection).await?.is_empty() {
        return Ok(());
    }
    connection.lock().await.map_err(Error::Migrate)?;
    // Asked first: `create … if not exists` wants the right to create also where it has nothing to do.
    if before.applied == 0 {
        connection
            .create_schema_if_not_exists("postrider")
            .await
            .map_err(Error::Migrate)?;
        connection
            .ensure_migrations_table(TABLE)
            .await
            .map_err(Error::Migrate)?;
    }
    // Looked at again under the lock: another process may have been here meanwhile.
    for version in missing(connection).await? {
        let migration = MIGRATIONS
            .iter()
            .find(|migration| migration.version == version)
            .expect("what is missing is one of ours");
        let duration = connection
            .apply(TABLE, migration)
            .await
            .map_err(Error::Migrate)?;
        done.push(Applied {
            version,
            name: migration.description.to_string(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        });
    }
    connection.unlock().await.map_err(Error::Migrate)
}

/// The migrations that have not been applied. An error where the database and this program do not belong together.
async fn missing(connection: &mut PgConnection) -> Result<Vec<i64>, Error> {
    let dirty = connection.dirty_version(TABLE).await;
    if let Some(half_done) = dirty.map_err(Error::Migrate)? {
        return Err(Error::Migrate(MigrateError::Dirty(half_done)));
    }
    let applied: BTreeMap<i64, Vec<u8>> = connection
        .list_applied_migrations(TABLE)
        .await
        .map_err(Error::Migrate)?
        .into_iter()
        .map(|migration| (migration.version, migration.checksum.into_owned()))
        .collect();
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    if let Some(&ahead) = applied.keys().max()
        && Some(ahead) > known
    {
        return Err(Error::SchemaTooNew {
            applied: ahead,
            known: known.unwrap_or(0),
        });
    }
    if let Some(changed) = MIGRATIONS.iter().find(|migration| {
        applied
            .get(&migration.version)
            .is_some_and(|checksum| *checksum != *migration.checksum)
    }) {
        return Err(Error::Migrate(MigrateError::VersionMismatch(
            changed.version,
        )));
    }
    Ok(MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .filter(|version| !applied.contains_key(version))
        .collect())
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
