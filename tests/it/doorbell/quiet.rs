//! What the bell costs others.

use std::time::Duration;

use postrider::db::doorbell::DoorbellSettings;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::{
    Loser, RingCount, Watcher, database, emit, only_the_bell, someone_sleeps, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_a_sleeper_at_once() {
    let database = database().await;
    let watcher = Watcher::start(&database, database.options(), only_the_bell()).await;
    let mut writer = database.connection().await;
    let mut lags = Vec::new();
    for _ in 0..20 {
        someone_sleeps(&mut writer).await;
        let event = emit(&mut writer).await;
        lags.push(watcher.sees(event, Duration::from_secs(5)).await);
    }
    lags.sort();
    println!(
        "from commit to poll, asleep: p50 {:?}, most {:?}",
        lags[10], lags[19]
    );
    assert!(
        lags[10] < Duration::from_millis(100),
        "p50 is {:?}",
        lags[10]
    );
    // Now and then a poll that was under way anyway finds the row before the bell is heard.
    let rings = watcher.count("postrider_doorbell_rings_total");
    assert!(rings >= 10, "{rings} of 20 were heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_says_whether_it_is_awake_also_while_it_is_never_let_sleep() {
    let database = database().await;
    let sleeper = Watcher::start(&database, database.options(), only_the_bell()).await;
    let restless = DoorbellSettings {
        awake_min: Duration::from_mins(10),
        awake_max: Duration::from_mins(10),
        ..only_the_bell()
    };
    let restless = Watcher::start(&database, database.options(), restless).await;
    until("one is awake", Duration::from_secs(30), async || {
        restless.count("postrider_doorbell_awake ") == 1
    })
    .await;
    sleeper.falls_asleep(0).await;
    until("the other sleeps", Duration::from_secs(30), async || {
        sleeper.count("postrider_doorbell_awake ") == 0
    })
    .await;
    assert_eq!(restless.count("postrider_doorbell_awake "), 1);
    assert_eq!(restless.count("postrider_doorbell_awake_seconds_count"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_do_not_notify_while_listeners_are_awake() {
    let database = database().await;
    let mut watchers = Vec::new();
    for _ in 0..4 {
        watchers.push(Watcher::start(&database, database.options(), only_the_bell()).await);
    }
    // Workers that win no rows: only what others begin to write keeps them awake.
    let losers = [(); 4].map(|()| Loser::start(&database));
    let mut writer = database.connection().await;
    let first = emit(&mut writer).await;
    for watcher in &watchers {
        watcher.sees(first, Duration::from_secs(5)).await;
    }
    let mut rings = RingCount::start(&database).await;
    let commits = hammer(&database, Duration::from_secs(3)).await;
    let rings = rings.rings().await;
    println!("{commits} commits, {rings} of them notified");
    assert!(commits > 500, "only {commits} commits");
    assert!(rings < 30, "{rings} of {commits} commits notified");
    drop(losers);
}

/// Eight writers commit single events; how many.
async fn hammer(database: &crate::support::postgres::TestDatabase, time: Duration) -> usize {
    let mut writers = JoinSet::new();
    let end = Instant::now() + time;
    for _ in 0..8 {
        let connection = database.connection().await;
        writers.spawn(write_until(connection, end));
    }
    writers.join_all().await.into_iter().sum()
}

/// One writer.
async fn write_until(mut connection: PgConnection, end: Instant) -> usize {
    let mut commits = 0;
    while Instant::now() < end {
        emit(&mut connection).await;
        commits += 1;
    }
    commits
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_listeners_do_not_hold_up_vacuum_or_concurrent_indexes() {
    let database = database().await;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        watchers.push(Watcher::start(&database, database.options(), only_the_bell()).await);
    }
    for watcher in &watchers {
        watcher.falls_asleep(0).await;
    }
    let mut connection = database.connection().await;
    for statement in [
        "create table t as select n from generate_series(1, 10000) n",
        "delete from t",
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let second = Duration::from_secs(1);
    until("VACUUM empties the table", 3 * second, async || {
        sqlx::raw_sql("vacuum t")
            .execute(&mut connection)
            .await
            .unwrap();
        let size: i64 = sqlx::query_scalar("select pg_relation_size('t')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        size == 0
    })
    .await;
    for index in [
        "create index concurrently a on t (n)",
        "create index concurrently b on t (n)",
    ] {
        let started = Instant::now();
        sqlx::raw_sql(index).execute(&mut connection).await.unwrap();
        assert!(
            started.elapsed() < 5 * second,
            "it took {:?}",
            started.elapsed()
        );
    }
    let waits: i64 = sqlx::query_scalar("select count(*) from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())")
        .fetch_one(&mut connection).await.unwrap();
    assert_eq!(
        waits, 1,
        "the listeners no longer slept, so this says nothing"
    );
}
