//! What the benchmarks ask of a database: a throw-away one is made, filled, measured and dropped. Nothing else calls this.

mod application;
mod queue;
mod soak;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, PgConnection};

use super::{ConnectOptions, Database, Error};

pub use application::{Application, Ear, Following};
pub use queue::Fill;
pub use soak::Outcome;

/// The instance that owns everything a benchmark makes.
pub const INSTANCE: &str = "bench";

/// Attempts before a row is dead, as rows have by default.
pub const ATTEMPTS_MAX: i32 = 5;

/// Settings that a figure means nothing without.
const SETTINGS: &[&str] = &[
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "wal_level",
    "autovacuum",
    "max_connections",
];

/// Makes an empty database of that name on the same server.
pub async fn create_database(server: &ConnectOptions, name: &str) -> Result<ConnectOptions, Error> {
    let mut connection = connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .map_err(Error::doing("create a database for the benchmark"))?;
    close(connection).await?;
    Ok(server.clone().database(name))
}

/// Drops it again, whoever is still connected.
pub async fn drop_database(server: &ConnectOptions, name: &str) -> Result<(), Error> {
    let mut connection = connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "drop database if exists {name} with (force)"
    )))
    .execute(&mut connection)
    .await
    .map_err(Error::doing("drop the database of the benchmark"))?;
    close(connection).await
}

/// The same, and what it takes long over is not told: a benchmark that fills tables knows.
pub fn silent(options: ConnectOptions) -> ConnectOptions {
    options.disable_statement_logging()
}

/// The same as an URL, for another process; it may hold a password.
pub fn url(options: &ConnectOptions) -> String {
    options.to_url_lossy().to_string()
}

/// A connection of its own.
async fn connect(options: &ConnectOptions) -> Result<PgConnection, Error> {
    silent(options.clone())
        .application_name("postrider bench")
        .connect()
        .await
        .map_err(Error::connecting(options))
}

/// Closes it in order.
async fn close(connection: PgConnection) -> Result<(), Error> {
    connection
        .close()
        .await
        .map_err(Error::doing("close the connection"))
}

impl Database {
    /// The server's version and the settings that matter.
    pub async fn bench_settings(&self) -> Result<Vec<(String, String)>, Error> {
        let mut facts: Vec<(String, String)> =
            vec![("version".into(), self.bench_version().await?)];
        for name in SETTINGS {
            let value: Option<String> = sqlx::query_scalar("select current_setting($1, true)")
                .bind(name)
                .fetch_one(self.pool())
                .await
                .map_err(Error::doing("read the server's settings"))?;
            facts.push(((*name).to_owned(), value.unwrap_or_default()));
        }
        Ok(facts)
    }

    /// The server's version.
    async fn bench_version(&self) -> Result<String, Error> {
        sqlx::query_scalar("select current_setting('server_version')")
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("read the server's version"))
    }

    /// The process that serves one of our connections: its parent is the postmaster, where that is on this machine.
    pub async fn bench_backend_pid(&self) -> Result<i32, Error> {
        sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("ask for a process id"))
    }

    /// How many transactions there have been in this database.
    pub async fn bench_transactions(&self) -> Result<i64, Error> {
        sqlx::query_scalar("select xact_commit + xact_rollback from pg_stat_database where datname = current_database()")
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("count transactions"))
    }

    /// How much write-ahead log there has been, in bytes.
    pub async fn bench_wal_bytes(&self) -> Result<i64, Error> {
        sqlx::query_scalar("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("read the position of the log"))
    }
}

/// The longest row number, so that all payloads are of one size.
const NUMBER_DIGITS: usize = 12;
/// The first number that is too long: where it is a time in microseconds, it begins anew there, every eleven days.
pub const MICROSECONDS_MAX: u64 = 1_000_000_000_000;
/// What a payload begins with.
const PAYLOAD_HEAD: &str = r#"{"messageId":""#;

/// A realistic event of exactly so many bytes, or the smallest there is.
pub fn payload(number: u64, bytes: usize) -> String {
    let middle =
        r#"","chat":"5511999990000@s.whatsapp.net","direction":"in","type":"text","text":""#;
    let end = r#""}"#;
    let fixed = PAYLOAD_HEAD.len() + NUMBER_DIGITS + middle.len() + end.len();
    let text = "lorem ipsum dolor sit amet ".chars().cycle();
    let text: String = text.take(bytes.saturating_sub(fixed)).collect();
    format!("{PAYLOAD_HEAD}{number:012}{middle}{text}{end}")
}

/// The number in a payload, also where an envelope is around it.
pub fn number_in(body: &[u8]) -> Option<u64> {
    let head = PAYLOAD_HEAD.as_bytes();
    let start = body.windows(head.len()).position(|window| window == head)? + head.len();
    let digits = body.get(start..start + NUMBER_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{number_in, payload};

    #[test]
    fn a_payload_is_json_of_the_size_that_was_asked_for() {
        for bytes in [512, 4096] {
            let text = payload(7, bytes);
            assert_eq!(text.len(), bytes);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            assert_eq!(
                number_in(format!("{{\"data\":{text}}}").as_bytes()),
                Some(7)
            );
        }
    }
}
