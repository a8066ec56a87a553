//! Long transactions, late commits, clocks and timestamps.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, scaled, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_held_open_for_the_whole_run_holds_up_nobody() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").max_in_flight(100).create().await;
    let workers = app.worker().spawn_two().await;
    let mut held = app.pool().begin().await.unwrap();
    sqlx::raw_sql("set transaction isolation level repeatable read; select pg_current_xact_id(); select count(*) from postrider.webhook_queue").execute(&mut *held).await.unwrap();
    let mut events = Vec::new();
    let started = Instant::now();
    for _ in 0..scaled(20) {
        events.extend(app.emit_many(100).await);
    }
    app.drained().await;
    println!("{} events in {:?}", events.len(), started.elapsed());
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
    held.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn long_readers_that_overlap_hold_up_nobody_not_even_what_commits_late_or_was_held_by_the_dead()
 {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").max_in_flight(100).create().await;
    // As after hours of it: what cannot be vacuumed takes so long to look through that it is left for later.
    let busy = "update postrider.queue_depth_snapshot set owed = '1 hour', slow_looks = 4, looked_at = now()";
    let sweeps_begin_late = "select slow_looks >= 4 from postrider.queue_depth_snapshot";
    let (first, second) = (
        app.pool().begin().await.unwrap(),
        app.pool().begin().await.unwrap(),
    );
    let mut readers = VecDeque::from([first, second]);
    let mut events = app.emit_many(10).await;
    app.sql("update postrider.webhook_queue set lease_token = 1, lease_until = now() + interval '5 seconds'")
        .await;
    app.sql(busy).await;
    let workers = app.worker().spawn_two().await;
    let mut long = app.pool().begin().await.unwrap();
    events.push(
        sqlx::query_scalar("select postrider.emit('shop', 'order.paid', '{\"late\": true}')")
            .fetch_one(&mut *long)
            .await
            .unwrap(),
    );
    for _ in 0..scaled(8) {
        let mut reader = app.pool().begin().await.unwrap();
        sqlx::raw_sql("set transaction isolation level repeatable read; select count(*) from postrider.webhook_queue")
            .execute(&mut *reader)
            .await
            .unwrap();
        readers.push_back(reader);
        // There is always one, and none is there all along.
        readers.pop_front().unwrap().rollback().await.unwrap();
        events.extend(app.emit_many(100).await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(app.value::<bool>(sweeps_begin_late).await);
    app.counted("delivered", events.len() - 1).await;
    // Sweeps begin behind what is not committed yet.
    let due: String = sqlx::query_scalar("select now()::text")
        .fetch_one(&mut *long)
        .await
        .unwrap();
    let behind = format!(
        "select min(floor) > '{due}' from postrider.queue_depth_snapshot, unnest(due_from) as floor"
    );
    until("sweeps begin behind it", PATIENCE, async || {
        app.value::<bool>(&behind).await
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    long.commit().await.unwrap();
    let committed = Instant::now();
    app.drained().await;
    let took = committed.elapsed();
    println!("{took:?} after its commit");
    assert!(took < Duration::from_secs(10), "{took:?} after its commit");
    assert!(app.value::<bool>(sweeps_begin_late).await);
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
    drop(readers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_is_delivered_within_about_a_second_though_newer_rows_passed_it() {
    commit_late(Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute; the same as the one before it"]
async fn a_commit_that_is_half_a_minute_late_is_delivered_within_about_a_second() {
    commit_late(Duration::from_secs(30)).await;
}

/// A producer commits so late, beside others.
async fn commit_late(late_by: Duration) {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = app
        .worker()
        .set("doorbell.floor_poll_ms", 60_000)
        .spawn_two()
        .await;
    let mut long = app.pool().begin().await.unwrap();
    let late: String =
        sqlx::query_scalar("select postrider.emit('shop', 'order.paid', '{\"late\": true}')")
            .fetch_one(&mut *long)
            .await
            .unwrap();
    let mut events = Vec::new();
    let until_then = Instant::now() + late_by;
    while Instant::now() < until_then {
        events.push(app.emit("order.paid", "{}").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.counted("delivered", events.len()).await;
    long.commit().await.unwrap();
    let committed = Instant::now();
    app.drained().await;
    let took = committed.elapsed();
    println!("{took:?} after its commit");
    assert!(took < Duration::from_secs(3), "{took:?} after its commit");
    events.push(late);
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_ten_minutes_off_goes_by_the_databases() {
    let app = TestApp::start().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let endpoint = app.endpoint("shop").secret(secret).create().await;
    endpoint
        .receiver
        .answer_in_turn([Answer::status(500), Answer::ok()]);
    // The other way round: to the workers' sessions the database says that it is ten minutes later.
    let name: String = app.value("select current_database()").await;
    app.sql("create schema ahead").await;
    for function in ["now", "clock_timestamp"] {
        app.sql(&format!("create function ahead.{function}() returns timestamptz language sql stable return pg_catalog.{function}() + interval '10 minutes'")).await;
    }
    app.sql(&format!(
        "alter database {name} set search_path = ahead, pg_catalog, public"
    ))
    .await;
    let workers = app.worker().spawn_two().await;
    let event = app.emit("order.paid", "{}").await;
    let requests = endpoint.receiver.wait_for(2).await;
    let now: i64 = app
        .value("select extract(epoch from pg_catalog.clock_timestamp())::bigint")
        .await;
    for request in &requests {
        let ahead = request.header("webhook-timestamp").parse::<i64>().unwrap() - now;
        assert!((570..=601).contains(&ahead), "{ahead} s ahead");
    }
    // Leases and waits are counted by one clock: the attempt that failed is the only reason for another.
    app.oracle()
        .healthy(&endpoint, &[event])
        .judge(workers)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_with_one_timestamp_are_each_delivered_once_without_statistics() {
    deliver_with_one_timestamp(scaled(10_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; the same as the one before it"]
async fn three_hundred_thousand_rows_with_one_timestamp_are_each_delivered_once_without_statistics()
{
    deliver_with_one_timestamp(300_000).await;
}

/// So many rows of one statement, by two workers whose planner knows nothing of them.
async fn deliver_with_one_timestamp(rows: usize) {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").max_in_flight(100).create().await;
    let events = app.emit_many(rows).await;
    let stamps: i64 = app
        .value("select count(distinct next_retry_at) from postrider.webhook_queue")
        .await;
    assert_eq!(stamps, 1);
    for forget in [
        "analyze postrider.webhook_queue",
        "delete from pg_statistic where starelid = 'postrider.webhook_queue'::regclass",
        "update pg_class set reltuples = -1, relpages = 0 where oid in ('postrider.webhook_queue'::regclass, 'postrider.webhook_queue_due'::regclass)",
    ] {
        app.sql(forget).await;
    }
    let started = Instant::now();
    let workers = app.worker().spawn_two().await;
    app.drained_within(Duration::from_mins(20)).await;
    println!("{} events in {:?}", events.len(), started.elapsed());
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}
