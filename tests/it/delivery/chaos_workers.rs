//! Workers die, stop and are told to end, with everything in flight.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use sqlx::ConnectOptions;
use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, scaled, until};
use crate::support::worker::WorkerBuilder;

/// A worker whose leases end soon.
fn hasty(app: &TestApp) -> WorkerBuilder {
    app.worker()
        .set("worker.timeout_ms", 1000)
        .set("worker.lease_s", 2)
        .set("worker.in_flight_per_endpoint_max", 100)
}

/// How workers are killed.
struct Killing {
    kills: usize,
    every: Duration,
    /// No kill before so many requests are with the receivers.
    in_flight_min: usize,
    /// How long a receiver takes to answer.
    answer_after: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_every_second_with_hundreds_in_flight_lose_nothing() {
    kill_workers(Killing {
        kills: scaled(6),
        every: Duration::from_secs(1),
        in_flight_min: 100,
        answer_after: Duration::from_millis(100),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute; the same as the one before it"]
async fn workers_killed_every_five_seconds_with_a_thousand_in_flight_lose_nothing() {
    kill_workers(Killing {
        kills: 6,
        every: Duration::from_secs(5),
        in_flight_min: 1000,
        answer_after: Duration::from_millis(900),
    })
    .await;
}

/// Kills one of two workers again and again, while events come.
async fn kill_workers(killing: Killing) {
    let app = TestApp::start().await;
    let slow = Answer::ok().after(killing.answer_after);
    let mut endpoints = Vec::new();
    for label in ["a", "b", "c"] {
        endpoints.push(app.endpoint(label).answering(slow.clone()).create().await);
    }
    let worker = hasty(&app)
        .set("worker.timeout_ms", 5000)
        .set("worker.lease_s", 10)
        // A few targets may not have all slots: there are more than are wanted.
        .set("worker.in_flight_max", 2000)
        .set("worker.in_flight_per_endpoint_max", 400);
    let mut workers = VecDeque::from(worker.clone().spawn_two().await);
    let mut events = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut held = Vec::new();
    let in_flight = || -> usize {
        endpoints
            .iter()
            .map(|endpoint| endpoint.receiver.concurrency())
            .sum()
    };
    for _ in 0..killing.kills {
        let round = Instant::now();
        while round.elapsed() < killing.every || in_flight() < killing.in_flight_min {
            assert!(round.elapsed() < PATIENCE, "{} in flight", in_flight());
            ticks.tick().await;
            events.extend(app.emit_many(60).await);
        }
        let victim = workers.pop_front().unwrap();
        victim.kill();
        // What it held: under way, or answered and not written yet; and the same of the one that lives. Nothing else may come again.
        held.extend(app.held().await);
        workers.push_back(worker.clone().spawn());
    }
    app.drained_within(Duration::from_mins(5)).await;
    let mut oracle = app.oracle().may_come_again(&held);
    for endpoint in &endpoints {
        oracle = oracle.healthy(endpoint, &events);
    }
    let repeated = oracle.judge(workers).await;
    println!(
        "{} events, {} kills, {} held, {repeated} delivered twice",
        events.len(),
        killing.kills,
        held.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_past_its_leases_neither_loses_nor_undoes_anything_when_it_wakes() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::ok().after(Duration::from_millis(300)))
        .create()
        .await;
    let mut frozen = hasty(&app).spawn();
    frozen.ready().await;
    let mut events = app.emit_many(400).await;
    until("it has much in flight", PATIENCE, async || {
        endpoint.receiver.concurrency() >= 50
    })
    .await;
    frozen.signal(Signal::SIGSTOP);
    let held = app.held().await;
    let other = hasty(&app).spawn();
    app.drained().await;
    frozen.signal(Signal::SIGCONT);
    // It works again, with the same connections and a new sense of time.
    other.stop().await;
    events.extend(app.emit_many(50).await);
    let repeated = app
        .oracle()
        .healthy(&endpoint, &events)
        .may_come_again(&held)
        .judge([frozen])
        .await;
    println!(
        "{} held when it froze, {repeated} delivered twice",
        held.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_end_finishes_what_is_in_flight_returns_the_rest_and_exits_cleanly() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::ok().after(Duration::from_secs(1)))
        .create()
        .await;
    let worker = app.worker().set("worker.in_flight_per_endpoint_max", 100);
    let workers = worker.clone().spawn_two().await;
    let events = app.emit_many(500).await;
    until("they have much in flight", PATIENCE, async || {
        endpoint.receiver.concurrency() >= 50
    })
    .await;
    for worker in &workers {
        worker.signal(Signal::SIGTERM);
    }
    for mut worker in workers {
        let status = worker.ended(PATIENCE).await;
        assert!(status.success(), "{status}: {}", worker.log());
    }
    assert_eq!(endpoint.receiver.concurrency(), 0);
    assert_eq!(
        app.count("delivered").await,
        endpoint.receiver.count(),
        "all that were sent were answered and written"
    );
    let rest: Vec<_> = app
        .rows()
        .await
        .into_iter()
        .filter(|row| row.status == "pending")
        .collect();
    assert!(!rest.is_empty(), "nothing was left to return");
    assert!(
        rest.iter()
            .all(|row| !row.leased && row.attempts == 0 && row.due_in_s <= 0.0)
    );
    // They go at once to whoever is there.
    let others = worker.spawn_two().await;
    app.oracle().healthy(&endpoint, &events).judge(others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_locked_is_returned_by_an_ending_worker_once_it_is_free() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::ok().after(Duration::from_millis(200)))
        .create()
        .await;
    let mut worker = app
        .worker()
        .set("worker.in_flight_per_endpoint_max", 5)
        .spawn();
    worker.ready().await;
    let events = app.emit_many(100).await;
    endpoint.receiver.wait_for(5).await;
    let leased = "select count(*) from postrider.webhook_queue where lease_token is not null";
    until("many are claimed", PATIENCE, async || {
        app.value::<i64>(leased).await >= 20
    })
    .await;
    let mut operator = app.pool().begin().await.unwrap();
    // The last ones: they have not started.
    let locked: Vec<i64> = sqlx::query_scalar(
        "select id from postrider.webhook_queue where lease_token is not null order by id desc limit 10 for update",
    )
    .fetch_all(&mut *operator)
    .await
    .unwrap();
    assert_eq!(locked.len(), 10);
    worker.signal(Signal::SIGTERM);
    until("only those are left", PATIENCE, async || {
        app.value::<i64>(leased).await == 10
    })
    .await;
    operator.rollback().await.unwrap();
    let status = worker.ended(PATIENCE).await;
    assert!(status.success(), "{status}: {}", worker.log());
    assert_eq!(app.value::<i64>(leased).await, 0);
    let others = app.worker().spawn_two().await;
    app.oracle().healthy(&endpoint, &events).judge(others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_drain_and_the_leases_do_the_rest() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::hang())
        .timeout_ms(60_000)
        .create()
        .await;
    let mut workers = hasty(&app).spawn_two().await;
    let events = app.emit_many(20).await;
    endpoint.receiver.wait_for(20).await;
    for worker in &mut workers {
        worker.signal(Signal::SIGTERM);
        until("it drains", PATIENCE, async || {
            worker.log().contains("shutting down")
        })
        .await;
        worker.signal(Signal::SIGTERM);
        worker.ended(Duration::from_secs(10)).await;
        let log = worker.log();
        assert!(log.contains("given up while they were in flight"), "{log}");
    }
    let held = app.held().await;
    endpoint.receiver.answer(Answer::ok());
    let others = hasty(&app).spawn_two().await;
    let repeated = app
        .oracle()
        .healthy(&endpoint, &events)
        .may_come_again(&held)
        .judge(others)
        .await;
    assert_eq!(repeated, 20, "each once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_that_start_at_once_compete_for_what_64_writers_commit_and_each_event_comes_once()
 {
    compete(8).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it wants memory; the same as the one before it"]
async fn twenty_four_workers_that_start_at_once_compete_for_what_64_writers_commit_and_each_event_comes_once()
 {
    compete(24).await;
}

/// So many workers, while events are committed one by one. What that costs the writers is for `postrider bench capture` to say.
async fn compete(workers: usize) {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let mut workers: Vec<_> = (0..workers).map(|_| app.worker().spawn()).collect();
    for worker in &mut workers {
        worker.ready().await;
    }
    let writers = (0..64).map(|_| async {
        let mut writer = app.options().connect().await.unwrap();
        let mut events = Vec::new();
        for _ in 0..scaled(20) {
            let emit = sqlx::query_scalar("select postrider.emit('shop', 'order.paid', '{}')");
            events.push(emit.fetch_one(&mut writer).await.unwrap());
        }
        events
    });
    let events: Vec<String> = join_all(writers).await.concat();
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}
