//! Postrider as a test sees it: a database of its own, endpoints with a receiver each, and workers.
//!
//! ```ignore
//! let app = TestApp::start().await;
//! let shop = app.endpoint("shop").failing(503).create().await;      // has `shop.receiver` and `shop.id`
//! let worker = app.worker().set("worker.lease_s", 5).start().await;  // in this process; `.spawn()` makes a real one
//! let events = app.emit_many(100).await;
//! app.drained().await;
//! app.assert_seen(&shop, &events);
//! app.finish([worker]).await;
//! ```
//!
//! [`TestApp::finish`] ends it: nothing is left leased, and the queue's depth, added up, is what a count says. Tests of faults end
//! with [`TestApp::oracle`], which says more (see `oracle`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};

use super::endpoint::{Endpoint, EndpointBuilder};
use super::oracle::{self, Delivery, Oracle};
use super::postgres::{TestDatabase, database};
use super::receiver::Receiver;
use super::wait::{PATIENCE, until};
use super::worker::{Worker, WorkerBuilder};

/// The instance that everything belongs to unless a test says otherwise.
pub(crate) const INSTANCE: &str = "shop";

/// A database with Postrider's schema, an instance, and a schedule whose waits a test can wait for.
pub(crate) struct TestApp {
    options: PgConnectOptions,
    pool: PgPool,
}

/// One row of the queue.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) status: String,
    pub(crate) attempts: i32,
    pub(crate) url: String,
    pub(crate) last_error: Option<String>,
    pub(crate) leased: bool,
    pub(crate) due_in_s: f64,
}

/// One line of the attempt log.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Logged {
    pub(crate) attempt: i32,
    pub(crate) outcome: String,
    pub(crate) class: Option<String>,
    pub(crate) status: Option<i32>,
    pub(crate) detail: Option<String>,
    pub(crate) response: Option<Vec<u8>>,
}

impl TestApp {
    /// Over a fresh database of the shared server.
    pub(crate) async fn start() -> Self {
        Self::over(&database().await).await
    }

    /// Over a given database, with our migrations in it.
    pub(crate) async fn over(database: &TestDatabase) -> Self {
        let options = database.options();
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options.clone());
        let app = Self { options, pool };
        app.instance(INSTANCE).await;
        app.sql(
            "insert into postrider.schedules (name, waits, jitter, max_attempts, timeout_ms)
             values ('fast', '{50 ms}', 0, 5, 5000)",
        )
        .await;
        app
    }

    /// How to connect.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// For a test's own statements.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Makes an instance.
    pub(crate) async fn instance(&self, name: &str) {
        sqlx::query("select postrider.create_instance($1)")
            .bind(name)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// An endpoint with a receiver of its own; its label is also the schedule of what it may be asked to do.
    pub(crate) fn endpoint<'a>(&'a self, label: &'a str) -> EndpointBuilder<'a> {
        EndpointBuilder::new(self, label)
    }

    /// A worker, to be configured.
    pub(crate) fn worker(&self) -> WorkerBuilder {
        WorkerBuilder::new(self.options())
    }

    /// Runs a statement as an operator would. Answers with the rows it changed.
    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        self.try_sql(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// The same for a statement that may be refused.
    pub(crate) async fn try_sql(&self, statement: &str) -> sqlx::Result<u64> {
        let done = sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }

    /// One value.
    pub(crate) async fn value<T>(&self, statement: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// Emits an event; answers with its id.
    pub(crate) async fn emit(&self, event_type: &str, data: &str) -> String {
        sqlx::query_scalar("select postrider.emit($1, $2, $3::text)")
            .bind(INSTANCE)
            .bind(event_type)
            .bind(data)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Emits so many events in one transaction; answers with their ids.
    pub(crate) async fn emit_many(&self, count: usize) -> Vec<String> {
        sqlx::query_scalar(
            "select unnest(postrider.emit_rows(array_agg($1::text), array_agg('order.paid'::text)
                 , array_agg(json_build_object('number', number))))
             from generate_series(1, $2) as number",
        )
        .bind(INSTANCE)
        .bind(i32::try_from(count).unwrap())
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// Puts a row straight into the queue; answers with its id.
    pub(crate) async fn insert_direct(&self, url: &str, payload: &str) -> i64 {
        sqlx::query_scalar(
            "insert into postrider.webhook_queue (instance_name, url, payload, event_type)
             values ($1, $2, $3, 'direct') returning id",
        )
        .bind(INSTANCE)
        .bind(url)
        .bind(payload.as_bytes())
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// All rows of the queue, in the order of their ids.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        sqlx::query_as(
            "select id, status, attempts, url, last_error, lease_token is not null as leased
               , extract(epoch from next_retry_at - now())::double precision as due_in_s
             from postrider.webhook_queue order by id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// The only row of the queue.
    pub(crate) async fn row(&self) -> Row {
        let mut rows = self.rows().await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    /// The attempt log of a delivery, oldest first.
    pub(crate) async fn attempts(&self, delivery: i64) -> Vec<Logged> {
        sqlx::query_as(
            "select attempt, outcome, class, status, detail, response from postrider.attempts where delivery_id = $1 order by at, attempt",
        )
        .bind(delivery)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// How many rows there are of each status, counted one by one.
    pub(crate) async fn counts(&self) -> BTreeMap<String, i64> {
        sqlx::query_as("select status, count(*) from postrider.webhook_queue group by status")
            .fetch_all(&self.pool)
            .await
            .unwrap()
            .into_iter()
            .collect()
    }

    /// How many rows have this status.
    pub(crate) async fn count(&self, status: &str) -> usize {
        let count = self.counts().await.get(status).copied().unwrap_or(0);
        usize::try_from(count).unwrap()
    }

    /// What workers hold, living or dead: in flight, waiting for it, or answered and not written yet.
    pub(crate) async fn held(&self) -> Vec<Delivery> {
        self.deliveries("lease_token is not null").await
    }

    /// The deliveries for which a condition holds.
    pub(crate) async fn deliveries(&self, condition: &str) -> Vec<Delivery> {
        oracle::deliveries(&self.pool, condition).await
    }

    /// Waits until so many rows have this status.
    pub(crate) async fn counted(&self, status: &str, count: usize) {
        let what = format!("{count} rows are {status}");
        until(&what, PATIENCE, async || self.count(status).await == count).await;
    }

    /// Waits until nothing is pending.
    pub(crate) async fn drained(&self) {
        self.drained_within(PATIENCE).await;
    }

    /// The same with a deadline of the test's own; answers with how long it took.
    pub(crate) async fn drained_within(&self, within: Duration) -> Duration {
        until("nothing is pending", within, async || {
            self.value::<bool>(
                "select not exists (select from postrider.webhook_queue where status = 'pending')",
            )
            .await
        })
        .await
    }

    /// Waits until all that was emitted is behind every transaction of the server, which the tests share: a reader's position
    /// leaves open what began before it and has not ended.
    pub(crate) async fn behind_everybody(&self) {
        until("what was emitted is behind everybody", PATIENCE, async || {
            self.value::<bool>(
                "select pg_snapshot_xmin(pg_current_snapshot()) > coalesce((select event.xid from postrider.events event order by event.xid desc limit 1), '0')",
            )
            .await
        })
        .await;
    }

    /// Checks that every one of these events was seen by the endpoint's receiver; answers with how many came twice.
    #[expect(clippy::unused_self, reason = "it reads best as a word of the app")]
    pub(crate) fn assert_seen(&self, endpoint: &Endpoint, events: &[String]) -> usize {
        assert_seen(&endpoint.receiver, events)
    }

    /// Who judges what a fault has done; the last word of a test of one.
    pub(crate) fn oracle(&self) -> Oracle<'_> {
        Oracle::new(self)
    }

    /// Ends the test: stops the workers in order, and checks what they leave.
    pub(crate) async fn finish(self, workers: impl IntoIterator<Item = Worker>) {
        for worker in workers {
            worker.stop().await;
        }
        self.assert_consistent().await;
    }

    /// Nothing is leased, and the depth that is kept is the depth that is there.
    pub(crate) async fn assert_consistent(&self) {
        let leased: i64 = self
            .value("select count(*) from postrider.webhook_queue where lease_token is not null")
            .await;
        assert_eq!(leased, 0, "rows are left leased");
        self.assert_depth_is_exact().await;
    }

    /// The depth that is kept, added up, is the depth that is there. Nobody may be writing.
    pub(crate) async fn assert_depth_is_exact(&self) {
        self.sql("select postrider.add_up_queue_depth()").await;
        let kept: Vec<(String, i64)> = sqlx::query_as(
            "select status, sum(rows)::bigint from postrider.queue_depth group by status having sum(rows) <> 0",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert_eq!(
            kept.into_iter().collect::<BTreeMap<_, _>>(),
            self.counts().await
        );
    }
}

/// Checks that a receiver saw every one of these events; answers with how many requests were repetitions.
pub(crate) fn assert_seen(receiver: &Receiver, events: &[String]) -> usize {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for request in receiver.requests() {
        *seen
            .entry(request.header("webhook-id").to_owned())
            .or_default() += 1;
    }
    let missing: BTreeSet<&String> = events
        .iter()
        .filter(|event| !seen.contains_key(*event))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} events never arrived, the first is {:?}",
        missing.len(),
        events.len(),
        missing.first()
    );
    events.iter().map(|event| seen[event] - 1).sum()
}
