//! Writers of every kind against listeners that doze off whenever they can.

use std::time::Duration;

use futures_util::future::join_all;
use postrider::db::doorbell::{DoorbellSettings, Hearing};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::support::{Watcher, database, emit, only_the_bell, until};

/// What an event may take to be seen once everybody has committed, beside what the machine itself takes.
const LAG_MAX: Duration = Duration::from_millis(700);

/// How long to go on: `POSTRIDER_CHAOS_S`, or 15 s.
fn duration() -> Duration {
    let seconds = std::env::var("POSTRIDER_CHAOS_S").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(15))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wake_up_is_lost() {
    // Alone, a sleeper is granted what it asks for; two take turns; more wait in line.
    let groups = [1, 2, 4].map(|listeners| Box::pin(chaos(listeners)));
    let total = join_all(groups).await.into_iter().sum::<usize>();
    assert!(total > 100, "only {total} events: nothing was tried");
}

/// Rounds of writing and silence in a database of its own. After each round every listener must have seen every event,
/// with no later ring to help it. How many events there were.
async fn chaos(listeners: usize) -> usize {
    let database = database().await;
    // They sleep as soon as they can: it is falling asleep that is dangerous.
    let settings = DoorbellSettings {
        awake_min: Duration::from_millis(8),
        awake_max: Duration::from_millis(40),
        ..only_the_bell()
    };
    let mut watchers = Vec::new();
    for _ in 0..listeners {
        watchers.push(Watcher::start(&database, database.options(), settings.clone()).await);
    }
    let mut writers = Vec::new();
    for _ in 0..4 {
        writers.push(database.connection().await);
    }
    let mut canary = database.connection().await;
    until("all bells hear", LAG_MAX * 20, async || {
        watchers
            .iter()
            .all(|watcher| watcher.bell.hearing() == Hearing::Rings)
    })
    .await;
    let end = Instant::now() + duration();
    let (mut lags, mut rounds) = (Vec::new(), 0_u64);
    while Instant::now() < end {
        rounds += 1;
        let (round, stall) = tokio::join!(
            writers_write(&mut writers),
            worst_stall(&mut canary, Instant::now() + LAG_MAX / 4)
        );
        for watcher in &watchers {
            let hearing = watcher.bell.hearing();
            assert_eq!(hearing, Hearing::Rings, "a bell fell off in round {rounds}");
            for &(event, at) in &round {
                let allowed = LAG_MAX + 2 * stall;
                watcher.sees(event, allowed).await;
                let seen_at = watcher.seen_at(event).unwrap();
                lags.push(seen_at.saturating_duration_since(at));
            }
        }
    }
    lags.sort();
    let sleeps: u64 = watchers
        .iter()
        .map(|watcher| watcher.count("postrider_doorbell_sleeps_total"))
        .sum();
    println!(
        "{listeners} listeners: {rounds} rounds, {sleeps} sleeps, lag p50 {:?} p99 {:?} most {:?}",
        lags[lags.len() / 2],
        lags[lags.len() * 99 / 100],
        lags[lags.len() - 1],
    );
    assert!(
        sleeps > rounds / 4 * watchers.len() as u64,
        "they hardly slept, so this says nothing"
    );
    lags.len()
}

/// One transaction each, beside one another; what they committed, and when.
async fn writers_write(writers: &mut [PgConnection]) -> Vec<(i64, Instant)> {
    let busy = rand::random_range(1..=writers.len());
    let transactions = writers[..busy].iter_mut().map(write);
    join_all(transactions).await.concat()
}

/// One transaction: delays, savepoints, rollbacks, two levels of isolation.
async fn write(connection: &mut PgConnection) -> Vec<(i64, Instant)> {
    let mut events = Vec::new();
    pause(60).await;
    let begin = if rand::random_bool(0.2) {
        "begin isolation level serializable"
    } else {
        "begin"
    };
    run(connection, begin).await;
    for _ in 0..rand::random_range(1..=3) {
        pause(10).await;
        match rand::random_range(0..4) {
            0 => events.push(emit(connection).await),
            1 => {
                run(connection, "savepoint s").await;
                emit(connection).await;
                pause(10).await;
                run(connection, "rollback to savepoint s").await;
                pause(10).await;
                events.push(emit(connection).await);
            }
            2 => {
                run(connection, "savepoint s").await;
                events.push(emit(connection).await);
                run(connection, "release savepoint s").await;
            }
            _ => {
                events.push(emit(connection).await);
                run(connection, "savepoint s").await;
                emit(connection).await;
                pause(10).await;
                run(connection, "rollback to savepoint s").await;
            }
        }
    }
    pause(40).await;
    if rand::random_bool(0.15) {
        run(connection, "rollback").await;
        return Vec::new();
    }
    run(connection, "commit").await;
    let now = Instant::now();
    events.into_iter().map(|event| (event, now)).collect()
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
async fn worst_stall(connection: &mut PgConnection, end: Instant) -> Duration {
    let mut worst = Duration::ZERO;
    while Instant::now() < end {
        let started = Instant::now();
        sleep(Duration::from_millis(5)).await;
        run(connection, "select 1").await;
        worst = worst.max(started.elapsed().saturating_sub(Duration::from_millis(6)));
    }
    worst
}
