//! Writers of every kind against listeners that doze off whenever they can.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider::db::doorbell::DoorbellSettings;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::support::{Watcher, database, emit, only_the_bell, until};

/// What an event may take from its commit to the poll that sees it, beside what the machine itself takes.
const LAG_MAX: Duration = Duration::from_millis(700);

/// How long to go on: `POSTRIDER_CHAOS_S`, or 15 s.
fn duration() -> Duration {
    let seconds = std::env::var("POSTRIDER_CHAOS_S").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(15))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wake_up_is_lost() {
    let database = database().await;
    // They sleep as soon as they can: it is falling asleep that is dangerous.
    let settings = DoorbellSettings {
        awake_min: Duration::from_millis(8),
        awake_max: Duration::from_millis(40),
        ..only_the_bell()
    };
    let mut watchers = Vec::new();
    for _ in 0..4 {
        watchers.push(Watcher::start(&database, database.options(), settings.clone()).await);
    }
    let running = Arc::new(AtomicBool::new(true));
    let mut stalls = JoinSet::new();
    stalls.spawn(worst_stall(
        database.connection().await,
        Arc::clone(&running),
    ));
    let mut writers = JoinSet::new();
    let end = Instant::now() + duration();
    for _ in 0..6 {
        writers.spawn(write(database.connection().await, end));
    }
    let mut committed = HashMap::new();
    while let Some(events) = writers.join_next().await {
        committed.extend(events.unwrap());
    }
    for watcher in &watchers {
        until("every event is seen", Duration::from_secs(30), async || {
            committed
                .keys()
                .all(|&event| watcher.seen_at(event).is_some())
        })
        .await;
    }
    running.store(false, Ordering::Relaxed);
    let stall = stalls.join_next().await.unwrap().unwrap();
    let sleeps: u64 = watchers
        .iter()
        .map(|watcher| watcher.count("postrider_doorbell_sleeps_total"))
        .sum();
    let mut lags: Vec<Duration> = watchers
        .iter()
        .flat_map(|watcher| {
            committed.iter().map(|(&event, &at)| {
                watcher
                    .seen_at(event)
                    .unwrap()
                    .saturating_duration_since(at)
            })
        })
        .collect();
    lags.sort();
    let worst = *lags.last().unwrap();
    println!(
        "{} events, {sleeps} sleeps, lag p50 {:?} p99 {:?} most {worst:?}; the machine stalled for {stall:?}",
        committed.len(),
        lags[lags.len() / 2],
        lags[lags.len() * 99 / 100],
    );
    assert!(sleeps > 40, "only {sleeps} sleeps: nothing was tried");
    assert!(
        worst < LAG_MAX + 2 * stall,
        "an event waited for {worst:?}; the machine stalled for {stall:?}"
    );
}

/// One writer: transactions with delays, savepoints, rollbacks, two levels of isolation; and the pauses in which others
/// fall asleep. What it committed, and when.
async fn write(mut connection: PgConnection, end: Instant) -> Vec<(i64, Instant)> {
    let mut committed = Vec::new();
    while Instant::now() < end {
        let mut events = Vec::new();
        let begin = if rand::random_bool(0.2) {
            "begin isolation level serializable"
        } else {
            "begin"
        };
        run(&mut connection, begin).await;
        for _ in 0..rand::random_range(1..=3) {
            pause(30).await;
            match rand::random_range(0..4) {
                0 => events.push(emit(&mut connection).await),
                1 => {
                    run(&mut connection, "savepoint s").await;
                    emit(&mut connection).await;
                    pause(20).await;
                    run(&mut connection, "rollback to savepoint s").await;
                    pause(20).await;
                    events.push(emit(&mut connection).await);
                }
                2 => {
                    run(&mut connection, "savepoint s").await;
                    events.push(emit(&mut connection).await);
                    run(&mut connection, "release savepoint s").await;
                }
                _ => {
                    events.push(emit(&mut connection).await);
                    run(&mut connection, "savepoint s").await;
                    emit(&mut connection).await;
                    pause(20).await;
                    run(&mut connection, "rollback to savepoint s").await;
                }
            }
        }
        pause(60).await;
        if rand::random_bool(0.15) {
            run(&mut connection, "rollback").await;
        } else {
            run(&mut connection, "commit").await;
            let now = Instant::now();
            committed.extend(events.into_iter().map(|event| (event, now)));
        }
        pause(if rand::random_bool(0.3) { 700 } else { 40 }).await;
    }
    committed
}

/// A statement without a result.
async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

/// A random time up to so many milliseconds; often none.
async fn pause(most_ms: u64) {
    if rand::random_bool(0.7) {
        sleep(Duration::from_micros(rand::random_range(0..most_ms * 1000))).await;
    }
}

/// How long a statement and a short sleep took beyond what they should, at worst: what this machine does to anyone.
async fn worst_stall(mut connection: PgConnection, running: Arc<AtomicBool>) -> Duration {
    let mut worst = Duration::ZERO;
    while running.load(Ordering::Relaxed) {
        let started = Instant::now();
        sleep(Duration::from_millis(5)).await;
        run(&mut connection, "select 1").await;
        worst = worst.max(started.elapsed().saturating_sub(Duration::from_millis(6)));
    }
    worst
}
