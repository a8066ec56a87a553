//! Brings the schema up to date. Safe under load and when several do it at once: sqlx holds an advisory lock, and each
//! migration is a transaction.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::Error;

/// The migrations, embedded.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// What has been applied and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The latest migration in the database, 0 for none.
    pub applied: i64,
    /// The latest one this program knows.
    pub known: i64,
}

/// A migrator whose own table lives in our schema.
fn migrator() -> Migrator {
    let mut migrator = Migrator {
        migrations: MIGRATIONS.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.create_schema("postrider");
    migrator.dangerous_set_table_name("postrider.migrations");
    migrator
}

/// Applies what is missing.
pub async fn run(options: &PgConnectOptions) -> Result<Progress, Error> {
    let mut connection = options
        .clone()
        .application_name("postrider migrate")
        .connect()
        .await
        .map_err(Error::doing("connect to the database"))?;
    migrator()
        .run(&mut connection)
        .await
        .map_err(Error::Migrate)?;
    let progress = progress_on(&mut connection).await?;
    connection
        .close()
        .await
        .map_err(Error::doing("close the connection"))?;
    Ok(progress)
}

/// How far the schema is.
pub async fn progress(options: &PgConnectOptions) -> Result<Progress, Error> {
    let mut connection = options
        .clone()
        .connect()
        .await
        .map_err(Error::doing("connect to the database"))?;
    progress_on(&mut connection).await
}

/// The same, on a connection at hand.
async fn progress_on(connection: &mut sqlx::PgConnection) -> Result<Progress, Error> {
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    let there: bool = sqlx::query_scalar("select to_regclass('postrider.migrations') is not null")
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::doing("look for the schema"))?;
    if !there {
        return Ok(Progress { applied: 0, known });
    }
    let applied: Option<i64> =
        sqlx::query_scalar("select max(version) from postrider.migrations where success")
            .fetch_one(&mut *connection)
            .await
            .map_err(Error::doing("read the applied migrations"))?;
    Ok(Progress {
        applied: applied.unwrap_or(0),
        known,
    })
}
