//! What the benchmarks ask of a database: a throw-away one is made, filled, measured and dropped. Nothing else calls this.

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Postgres};

use super::{ConnectOptions as Options, Database, Error};

/// The instance that owns everything a benchmark makes.
pub const INSTANCE: &str = "bench";

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

/// Rows to put into the queue.
#[derive(Debug, Clone, Copy)]
pub struct Fill<'a> {
    /// Spread over these endpoints, in turn.
    pub endpoints: &'a [i64],
    /// How many.
    pub rows: i64,
    /// The size of each payload.
    pub payload_bytes: usize,
    /// Due so long from now; in the past where negative.
    pub due_in_s: f64,
}

/// Rows inserted by one statement: more would meet the statement timeout on a slow disk.
const FILL_STATEMENT_ROWS: i64 = 50_000;
/// The longest row number, so that all payloads are of one size.
const NUMBER_DIGITS: usize = 12;

/// Makes an empty database of that name on the same server.
pub async fn create_database(server: &Options, name: &str) -> Result<Options, Error> {
    let mut connection = connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .map_err(Error::doing("create a database for the benchmark"))?;
    close(connection).await?;
    Ok(server.clone().database(name))
}

/// Drops it again, whoever is still connected.
pub async fn drop_database(server: &Options, name: &str) -> Result<(), Error> {
    let mut connection = connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "drop database if exists {name} with (force)"
    )))
    .execute(&mut connection)
    .await
    .map_err(Error::doing("drop the database of the benchmark"))?;
    close(connection).await
}

/// The same as an URL, for another process; it may hold a password.
pub fn url(options: &Options) -> String {
    options.to_url_lossy().to_string()
}

/// A connection of its own.
async fn connect(options: &Options) -> Result<PgConnection, Error> {
    options
        .clone()
        .application_name("postrider bench")
        .connect()
        .await
        .map_err(Error::doing("connect to the database"))
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

    /// How much write-ahead log there has been, in bytes.
    pub async fn bench_wal_bytes(&self) -> Result<i64, Error> {
        sqlx::query_scalar("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("read the position of the log"))
    }

    /// Makes endpoints that sign, one for each URL.
    pub async fn bench_endpoints(&self, urls: &[String], secret: &str) -> Result<Vec<i64>, Error> {
        sqlx::query("select postrider.create_instance($1) where not exists (select from postrider.instances where name = $1)")
            .bind(INSTANCE)
            .execute(self.pool())
            .await
            .map_err(Error::doing("create an instance"))?;
        sqlx::query_scalar(
            "select postrider.set_endpoint($1, given.url, label => 'bench-' || given.number, signing_secret => $3)
             from unnest($2::text[]) with ordinality as given(url, number)",
        )
        .bind(INSTANCE)
        .bind(urls)
        .bind(secret)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("create endpoints"))
    }

    /// A connection whose statements may take long.
    async fn bench_patient(&self) -> Result<PoolConnection<Postgres>, Error> {
        let doing = "connect to the database";
        let mut connection = self.pool().acquire().await.map_err(Error::doing(doing))?;
        sqlx::raw_sql("set statement_timeout = 0")
            .execute(&mut *connection)
            .await
            .map_err(Error::doing(doing))?;
        Ok(connection)
    }

    /// Puts rows into the queue.
    pub async fn bench_fill(&self, fill: &Fill<'_>) -> Result<(), Error> {
        let frame = payload(0, fill.payload_bytes);
        let (head, tail) = frame.split_at(PAYLOAD_HEAD.len());
        let tail = &tail[NUMBER_DIGITS..];
        let mut connection = self.bench_patient().await?;
        let mut done = 0;
        while done < fill.rows {
            let rows = (fill.rows - done).min(FILL_STATEMENT_ROWS);
            sqlx::query(
                "insert into postrider.webhook_queue (instance_name, url, payload, event_type, endpoint_id, event_id, event_nonce, next_retry_at)
                 select $1, endpoint.url, convert_to($2 || lpad(number::text, $3, '0') || $4, 'UTF8'), 'message.exchange', endpoint.id
                      , number, number::integer, now() + make_interval(secs => $5)
                 from generate_series($6 + 1, $6 + $7) as number
                 join (select id, url, row_number() over (order by id) - 1 as place from postrider.endpoints where id = any ($8)) endpoint
                   on endpoint.place = number % cardinality($8)",
            )
            .bind(INSTANCE)
            .bind(head)
            .bind(i32::try_from(NUMBER_DIGITS).unwrap_or(0))
            .bind(tail)
            .bind(fill.due_in_s)
            .bind(done)
            .bind(rows)
            .bind(fill.endpoints)
            .execute(&mut *connection)
            .await
            .map_err(Error::doing("fill the queue"))?;
            done += rows;
        }
        Ok(())
    }

    /// Empties the queue and the attempt log, so that each run starts from the same state.
    pub async fn bench_empty(&self) -> Result<(), Error> {
        let mut connection = self.bench_patient().await?;
        for statement in [
            "truncate postrider.webhook_queue, postrider.attempts, postrider.events",
            "vacuum postrider.queue_changes",
        ] {
            sqlx::raw_sql(statement)
                .execute(&mut *connection)
                .await
                .map_err(Error::doing("empty the queue"))?;
        }
        drop(connection);
        self.bench_settle().await
    }

    /// What filling left to be done in the background is done now: statistics, hint bits, dirty pages.
    pub async fn bench_settle(&self) -> Result<(), Error> {
        let mut connection = self.bench_patient().await?;
        sqlx::raw_sql("vacuum analyze postrider.webhook_queue")
            .execute(&mut *connection)
            .await
            .map_err(Error::doing("vacuum the queue"))?;
        // Not everybody may; then the first checkpoint falls when it falls.
        if let Err(error) = sqlx::raw_sql("checkpoint").execute(&mut *connection).await {
            tracing::debug!(%error, "no checkpoint before the measurement");
        }
        Ok(())
    }

    /// Whether anything is due and waiting or held.
    pub async fn bench_any_due(&self) -> Result<bool, Error> {
        sqlx::query_scalar(
            "select exists (select from generate_series(0, 63) as l(lane) cross join lateral (
               select from postrider.webhook_queue q
               where q.status = 'pending' and q.lane = l.lane::smallint and q.next_retry_at <= now() limit 1) head)",
        )
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("look whether the queue is empty"))
    }

    /// Rows by status: pending, delivered, failed; and attempts logged.
    pub async fn bench_counts(&self) -> Result<[i64; 4], Error> {
        let (pending, delivered, failed, attempts) = sqlx::query_as(
            "select count(*) filter (where status = 'pending'), count(*) filter (where status = 'delivered')
                  , count(*) filter (where status = 'failed'), (select count(*) from postrider.attempts)
             from postrider.webhook_queue",
        )
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("count the queue"))?;
        Ok([pending, delivered, failed, attempts])
    }
}

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

#[cfg(test)]
mod tests {
    use super::payload;

    #[test]
    fn a_payload_is_json_of_the_size_that_was_asked_for() {
        for bytes in [512, 4096] {
            let text = payload(7, bytes);
            assert_eq!(text.len(), bytes);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
}
