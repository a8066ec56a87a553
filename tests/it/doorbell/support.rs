//! A listener that remembers what it saw, and a writer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postrider::db::doorbell::{Doorbell, DoorbellSettings, Found};
use postrider::metrics::{Exporter, Metrics};
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::postgres::TestDatabase;

/// The instance whose events the tests write.
pub(super) const INSTANCE: &str = "bell";

/// A bell of which only the bell can explain what is seen: the floor poll comes after the test.
pub(super) fn only_the_bell() -> DoorbellSettings {
    DoorbellSettings {
        floor_poll: Duration::from_mins(10),
        ..DoorbellSettings::default()
    }
}

/// One process that listens: a bell and a subscriber.
#[derive(Debug)]
pub(super) struct Watcher {
    /// Its bell.
    pub(super) bell: Doorbell,
    /// When which event was seen first.
    seen: Arc<Mutex<HashMap<i64, Instant>>>,
    /// What the bell counted.
    exporter: Exporter,
    /// The bell and the subscriber. Dropping it kills them.
    _tasks: JoinSet<()>,
}

impl Watcher {
    /// Starts one. The bell connects with `bell_options`; the subscriber polls directly.
    pub(super) async fn start(
        database: &TestDatabase,
        bell_options: PgConnectOptions,
        settings: DoorbellSettings,
    ) -> Watcher {
        let (metrics, exporter) = Metrics::new();
        let bell = Doorbell::new(bell_options, settings, Arc::new(metrics));
        let seen = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let bell = bell.clone();
            async move { bell.run(CancellationToken::new()).await }
        });
        let connection = database.connection().await;
        tasks.spawn(watch(bell.clone(), connection, Arc::clone(&seen)));
        Watcher {
            bell,
            seen,
            exporter,
            _tasks: tasks,
        }
    }

    /// When it saw an event.
    pub(super) fn seen_at(&self, event: i64) -> Option<Instant> {
        self.seen.lock().unwrap().get(&event).copied()
    }

    /// Waits until it has seen an event; how long that took from now on.
    pub(super) async fn sees(&self, event: i64, within: Duration) -> Duration {
        let asked_at = Instant::now();
        until("the event is seen", within, async || {
            self.seen_at(event).is_some()
        })
        .await;
        let seen_at = self.seen_at(event).unwrap_or(asked_at);
        seen_at.saturating_duration_since(asked_at)
    }

    /// Waits until its bell has gone to sleep, more often than `times`.
    pub(super) async fn falls_asleep(&self, times: u64) -> u64 {
        until("the bell sleeps", Duration::from_secs(30), async || {
            self.count("postrider_doorbell_sleeps_total") > times
        })
        .await;
        self.count("postrider_doorbell_sleeps_total")
    }

    /// A counter of its bell.
    pub(super) fn count(&self, metric: &str) -> u64 {
        count(&self.exporter, metric)
    }
}

/// A counter.
fn count(exporter: &Exporter, metric: &str) -> u64 {
    let rendered = exporter.render();
    let line = rendered.lines().find_map(|line| line.strip_prefix(metric));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// A subscriber's life. It reads by snapshot difference, so that nothing committed is overlooked.
async fn watch(
    bell: Doorbell,
    mut connection: PgConnection,
    seen: Arc<Mutex<HashMap<i64, Instant>>>,
) {
    let mut listener = bell.subscribe();
    let mut snapshot = "1:1:".to_owned();
    loop {
        listener.turn().await;
        let (next, events): (String, Vec<i64>) = sqlx::query_as(
            "select pg_current_snapshot()::text, array(
               select id from postrider.events where xid >= pg_snapshot_xmax($1::text::pg_snapshot)
               union all
               select id from postrider.events where xid = any (array(select pg_snapshot_xip($1::text::pg_snapshot))))",
        )
        .bind(&snapshot)
        .fetch_one(&mut connection)
        .await
        .unwrap();
        snapshot = next;
        let now = Instant::now();
        let mut seen = seen.lock().unwrap();
        for &event in &events {
            seen.entry(event).or_insert(now);
        }
        drop(seen);
        listener.found(if events.is_empty() {
            Found::Nothing
        } else {
            Found::Something
        });
    }
}

/// One process that listens and never finds anything.
#[derive(Debug)]
pub(super) struct Loser {
    /// What the bell counted.
    exporter: Exporter,
    /// Dropping it kills it.
    _tasks: JoinSet<()>,
}

impl Loser {
    /// Starts one.
    pub(super) fn start(database: &TestDatabase) -> Loser {
        let (metrics, exporter) = Metrics::new();
        let bell = Doorbell::new(database.options(), only_the_bell(), Arc::new(metrics));
        let mut listener = bell.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { bell.run(CancellationToken::new()).await });
        tasks.spawn(async move {
            loop {
                listener.turn().await;
                listener.found(Found::Nothing);
            }
        });
        Loser {
            exporter,
            _tasks: tasks,
        }
    }

    /// Rings heard.
    pub(super) fn rings(&self) -> u64 {
        count(&self.exporter, "postrider_doorbell_rings_total")
    }
}

/// A database with the instance.
pub(super) async fn database() -> TestDatabase {
    let database = crate::support::postgres::database().await;
    prepare(&database).await;
    database
}

/// Makes the instance.
pub(super) async fn prepare(database: &TestDatabase) {
    let mut connection = database.connection().await;
    sqlx::query("select postrider.create_instance($1)")
        .bind(INSTANCE)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Emits one event, in the transaction that is open or in one of its own.
pub(super) async fn emit(connection: &mut PgConnection) -> i64 {
    let id: String = sqlx::query_scalar("select postrider.emit($1, 'bell.rung', '{}'::json)")
        .bind(INSTANCE)
        .fetch_one(connection)
        .await
        .unwrap();
    id.split('_').nth(1).unwrap().parse().unwrap()
}

/// Counts writers' rings from now on, beside all listeners.
#[derive(Debug)]
pub(super) struct RingCount {
    listener: PgListener,
}

impl RingCount {
    /// Starts.
    pub(super) async fn start(database: &TestDatabase) -> RingCount {
        let mut listener = PgListener::connect_with(&database.pool().await)
            .await
            .unwrap();
        listener.listen("postrider").await.unwrap();
        RingCount { listener }
    }

    /// All that were sent so far.
    pub(super) async fn rings(&mut self) -> usize {
        let mut rings = 0;
        // What has been sent arrives before the answer to a question; and a little after it.
        while let Ok(notification) = timeout(Duration::from_millis(200), self.listener.recv()).await
        {
            rings += usize::from(notification.unwrap().payload() != "look");
        }
        rings
    }
}

/// How many hold or want the bell's lock in this database.
pub(super) async fn locks(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_locks where locktype = 'advisory' and classid = 1886351988
         and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

/// Waits until somebody sleeps.
pub(super) async fn someone_sleeps(connection: &mut PgConnection) {
    until("somebody sleeps", Duration::from_secs(30), async || {
        locks(connection).await > 0
    })
    .await;
}

/// Waits for a condition.
pub(super) async fn until(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
