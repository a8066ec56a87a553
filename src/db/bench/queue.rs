//! Endpoints, and a queue in a known state.

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use super::{INSTANCE, NUMBER_DIGITS, PAYLOAD_HEAD, payload};
use crate::db::{Database, Error};

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
    /// Attempts before a row is dead.
    pub attempts_max: i32,
}

/// Rows inserted by one statement: more would meet the statement timeout on a slow disk.
const FILL_STATEMENT_ROWS: i64 = 50_000;
impl Database {
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
    pub(super) async fn bench_patient(&self) -> Result<PoolConnection<Postgres>, Error> {
        let doing = "connect to the database";
        let mut connection = self
            .pool()
            .pool()
            .acquire()
            .await
            .map_err(Error::doing(doing))?;
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
                "insert into postrider.webhook_queue (instance_name, url, payload, event_type, endpoint_id, event_id, event_nonce, next_retry_at, max_attempts)
                 select $1, endpoint.url, convert_to($2 || lpad(number::text, $3, '0') || $4, 'UTF8'), 'message.exchange', endpoint.id
                      , number, number::integer, now() + make_interval(secs => $5), $9
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
            .bind(fill.attempts_max)
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
        sqlx::raw_sql("truncate postrider.webhook_queue, postrider.attempts, postrider.events")
            .execute(&mut *connection)
            .await
            .map_err(Error::doing("empty the queue"))?;
        drop(connection);
        self.bench_settle().await
    }

    /// What filling left to be done in the background is done now: depth, statistics, hint bits, dirty pages.
    pub async fn bench_settle(&self) -> Result<(), Error> {
        let mut connection = self.bench_patient().await?;
        for statement in [
            "select postrider.add_up_queue_depth()",
            "delete from postrider.queue_changes",
            "vacuum postrider.queue_changes",
            "vacuum analyze postrider.webhook_queue",
        ] {
            sqlx::raw_sql(statement)
                .execute(&mut *connection)
                .await
                .map_err(Error::doing("settle the queue"))?;
        }
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

    /// Makes an instance with one endpoint that signs; answers with the endpoint and its lane.
    pub async fn bench_tenant(
        &self,
        name: &str,
        url: &str,
        secret: &str,
    ) -> Result<(i64, i16), Error> {
        let doing = "create a tenant";
        sqlx::query("select postrider.create_instance($1)")
            .bind(name)
            .execute(self.pool())
            .await
            .map_err(Error::doing(doing))?;
        sqlx::query_as(
            "select made.id, (hashint8(made.id) & 63)::smallint
             from (select postrider.set_endpoint($1, $2, signing_secret => $3) as id offset 0) made",
        )
        .bind(name)
        .bind(url)
        .bind(secret)
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing(doing))
    }
}
