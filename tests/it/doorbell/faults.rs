//! What the bell does when something breaks, or is not as it should be.

use std::time::Duration;

use nix::sys::signal::Signal;
use postrider::db::doorbell::{DoorbellSettings, Hearing};
use sqlx::{ConnectOptions, PgConnection};
use tokio::time::Instant;

use super::support::{
    Loser, RingCount, Watcher, database, emit, locks, only_the_bell, prepare, someone_sleeps, until,
};
use crate::support::app::TestApp;
use crate::support::pooler::{Mode, Pooler};
use crate::support::postgres::{OwnCluster, TestDatabase};
use crate::support::proxy::Proxy;
use crate::support::worker::Process;

/// More than any of these should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The floor poll as it is by default.
fn with_floor() -> DoorbellSettings {
    DoorbellSettings::default()
}

/// A statement without a result.
async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

/// Ends the bell's connections.
async fn end_connections(database: &TestDatabase) {
    let mut connection = database.connection().await;
    run(
        &mut connection,
        "select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'postrider doorbell' and datname = current_database()",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_in_transaction_mode_it_polls_and_takes_no_lock() {
    for mode in [Mode::Transaction, Mode::TransactionInTurns] {
        let database = database().await;
        let Some(pooler) = Pooler::before_or_skipped(&database.options(), mode).await else {
            return;
        };
        polls_and_takes_no_lock(&database, &pooler).await;
    }
}

/// Behind this pooler.
async fn polls_and_takes_no_lock(database: &TestDatabase, pooler: &Pooler) {
    let watcher = Watcher::start(database, pooler.options(), with_floor()).await;
    let mut writer = database.connection().await;
    for _ in 0..3 {
        let event = emit(&mut writer).await;
        watcher.sees(event, Duration::from_secs(5)).await;
        assert_eq!(locks(&mut writer).await, 0, "a lock leaked into the pool");
    }
    until("it knows the pooler", PATIENCE, async || {
        watcher.bell.hearing() == Hearing::Polling
    })
    .await;
    assert_eq!(watcher.count("postrider_doorbell_sleeps_total"), 0);
    let event = emit(&mut writer).await;
    watcher.sees(event, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_connections_while_awake_for_long() {
    let database = database().await;
    let settings = DoorbellSettings {
        awake_min: Duration::from_secs(15),
        ..with_floor()
    };
    let watcher = Watcher::start(&database, database.options(), settings).await;
    until("it hears", PATIENCE, async || {
        watcher.bell.hearing() == Hearing::Rings
    })
    .await;
    // Longer than the server lets the lock's connection be idle; shorter than the bell is awake.
    until("it falls asleep", PATIENCE, async || {
        assert_eq!(watcher.bell.hearing(), Hearing::Rings);
        watcher.count("postrider_doorbell_sleeps_total") > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_rings_again_after_its_connections_were_ended() {
    let database = database().await;
    let watcher = Watcher::start(&database, database.options(), only_the_bell()).await;
    let mut writer = database.connection().await;
    for _ in 0..3 {
        someone_sleeps(&mut writer).await;
        end_connections(&database).await;
        // Seen when the bell is back, for then everybody polls; whether it rang or not.
        let event = emit(&mut writer).await;
        watcher.sees(event, PATIENCE).await;
    }
    someone_sleeps(&mut writer).await;
    let event = emit(&mut writer).await;
    watcher.sees(event, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_rings_again_after_postgres_was_killed() {
    let mut cluster = OwnCluster::start().await;
    let database = cluster.database().await;
    prepare(&database).await;
    let mut settled = database.connection().await;
    let watcher = Loser::start(&database);
    someone_sleeps(&mut settled).await;
    drop(settled);
    cluster.kill_immediately().await;
    cluster.start_again().await;
    let mut writer = database.connection().await;
    someone_sleeps(&mut writer).await;
    let before = watcher.rings();
    emit(&mut writer).await;
    until("it hears a ring", PATIENCE, async || {
        watcher.rings() > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_stopped_does_not_keep_the_bell_ringing() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let proxy = Proxy::before(app.options()).await;
    let workers = app
        .worker()
        .set("doorbell.floor_poll_ms", 1000)
        .through(proxy.options())
        .spawn_two()
        .await;
    let mut writer = app.options().connect().await.unwrap();
    // A bell looks once more after it has fallen asleep.
    let mut calm_since = Instant::now();
    until("nobody has been awake for a while", PATIENCE, async || {
        if workers.iter().any(is_awake) || locks(&mut writer).await == 0 {
            calm_since = Instant::now();
        }
        calm_since.elapsed() > Duration::from_secs(2)
    })
    .await;
    // What a stopped process and a cut cable have in common: nothing comes, and nothing closes.
    proxy.deafen();
    // The ring for these is lost. The workers, which still run, go on by the floor poll.
    let mut events = app.emit_many(5).await;
    let took = app.drained_within(Duration::from_secs(3)).await;
    println!("delivered {took:?} after a ring that nobody heard");
    until("the server takes the lock away", PATIENCE, async || {
        locks(&mut writer).await == 0
    })
    .await;
    let mut rings = RingCount::start(&TestDatabase::at(app.options())).await;
    events.extend(app.emit_many(5).await);
    assert_eq!(rings.rings().await, 0, "the bell still rings");
    app.drained_within(Duration::from_secs(3)).await;
    proxy.mend();
    someone_sleeps(&mut writer).await;
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}

/// Whether its bell polls every few milliseconds.
fn is_awake(worker: &Process) -> bool {
    worker.metric("postrider_doorbell_awake") > 0.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_does_not_keep_the_bell_ringing_and_delivers_when_it_goes_on() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = app
        .worker()
        .set("doorbell.floor_poll_ms", 60_000)
        .spawn_two()
        .await;
    let mut writer = app.options().connect().await.unwrap();
    someone_sleeps(&mut writer).await;
    for worker in &workers {
        worker.signal(Signal::SIGSTOP);
    }
    until("the server takes the locks away", PATIENCE, async || {
        locks(&mut writer).await == 0
    })
    .await;
    let mut rings = RingCount::start(&TestDatabase::at(app.options())).await;
    let events = app.emit_many(5).await;
    assert_eq!(rings.rings().await, 0, "the bell still rings");
    assert_eq!(endpoint.receiver.count(), 0, "they are stopped");
    for worker in &workers {
        worker.signal(Signal::SIGCONT);
    }
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wake_off_lets_a_transaction_be_prepared_while_somebody_sleeps() {
    let database = database().await;
    let watcher = Watcher::start(&database, database.options(), with_floor()).await;
    let mut writer = database.connection().await;
    someone_sleeps(&mut writer).await;
    run(&mut writer, "begin").await;
    emit(&mut writer).await;
    let refused = sqlx::raw_sql("prepare transaction 'rings'")
        .execute(&mut writer)
        .await;
    assert!(refused.is_err(), "a NOTIFY cannot be prepared: nobody rang");
    run(&mut writer, "set postrider.wake = off").await;
    someone_sleeps(&mut writer).await;
    let mut rings = RingCount::start(&database).await;
    run(&mut writer, "begin").await;
    let event = emit(&mut writer).await;
    // Names are the whole server's; one run of this test makes one.
    let name = format!(
        "prepare transaction 'silent {event} {}'",
        std::process::id()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(name.clone()))
        .execute(&mut writer)
        .await
        .unwrap();
    let commit = name.replace("prepare transaction", "commit prepared");
    sqlx::raw_sql(sqlx::AssertSqlSafe(commit))
        .execute(&mut writer)
        .await
        .unwrap();
    watcher.sees(event, Duration::from_secs(5)).await;
    assert_eq!(rings.rings().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_open_for_long_delays_no_other() {
    let database = database().await;
    let watcher = Watcher::start(&database, database.options(), only_the_bell()).await;
    let (mut long, mut short) = (database.connection().await, database.connection().await);
    let first = emit(&mut short).await;
    watcher.sees(first, PATIENCE).await;
    // It took the lock while the listener was awake: nobody is granted before it ends.
    run(&mut long, "begin").await;
    let last = emit(&mut long).await;
    let mut sleeps = watcher.falls_asleep(0).await;
    for _ in 0..5 {
        let event = emit(&mut short).await;
        let lag = watcher.sees(event, PATIENCE).await;
        assert!(lag < Duration::from_secs(1), "it took {lag:?}");
        sleeps = watcher.falls_asleep(sleeps).await;
    }
    assert!(watcher.seen_at(last).is_none());
    run(&mut long, "commit").await;
    let lag = watcher.sees(last, PATIENCE).await;
    assert!(lag < Duration::from_secs(1), "it took {lag:?}");
}
