//! What operators do with plain SQL, while workers run.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::endpoint::Endpoint;
use crate::support::oracle::Delivery;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::Worker;

/// The line in the documentation.
const REQUEUE: &str = "update postrider.webhook_queue set status = 'pending', next_retry_at = now() where status = 'failed' and instance_name = 'shop'";

/// A worker that looks by itself once a minute, so that only the bell explains what it finds; asleep.
async fn sleeping_worker(app: &TestApp) -> Worker {
    let worker = app
        .worker()
        .set("doorbell.floor_poll_ms", 60_000)
        .start()
        .await;
    until("the bell sleeps", PATIENCE, async || {
        worker.metric("postrider_doorbell_sleeps_total") > 0.0
    })
    .await;
    worker
}

/// Three dead letters, after two attempts each.
async fn three_dead_letters(app: &TestApp, label: &str) -> Endpoint {
    let endpoint = app
        .endpoint(label)
        .failing(500)
        .max_attempts(2)
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit_many(3).await;
    app.counted("failed", 3).await;
    worker.stop().await;
    endpoint
}

#[tokio::test]
async fn a_row_requeued_by_update_wakes_the_workers_and_gets_a_full_new_cycle_beside_its_old_log() {
    let app = TestApp::start().await;
    let endpoint = three_dead_letters(&app, "shop").await;
    let worker = sleeping_worker(&app).await;
    endpoint.receiver.answer(Answer::ok());
    assert_eq!(app.sql(REQUEUE).await, 3);
    let took = app.drained_within(Duration::from_secs(20)).await;
    println!("delivered {took:?} after the update");
    for row in app.rows().await {
        assert_eq!((row.status.as_str(), row.attempts), ("delivered", 1));
        let log: Vec<_> = app
            .attempts(row.id)
            .await
            .into_iter()
            .map(|logged| (logged.attempt, logged.outcome))
            .collect();
        let expected = [(1, "retry"), (2, "failed"), (1, "delivered")];
        assert_eq!(
            log,
            expected.map(|(attempt, outcome)| (attempt, outcome.to_owned()))
        );
    }
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_requeued_row_is_tried_as_often_as_a_new_one() {
    let app = TestApp::start().await;
    let endpoint = three_dead_letters(&app, "shop").await;
    let worker = app.worker().start().await;
    assert_eq!(app.sql(REQUEUE).await, 3);
    endpoint.receiver.wait_for(12).await;
    app.counted("failed", 3).await;
    assert_eq!(endpoint.receiver.count(), 12);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_row_requeued_without_a_time_is_found_at_once_too() {
    let app = TestApp::start().await;
    let endpoint = three_dead_letters(&app, "shop").await;
    let worker = sleeping_worker(&app).await;
    endpoint.receiver.answer(Answer::ok());
    app.sql("update postrider.webhook_queue set status = 'pending'")
        .await;
    app.drained_within(Duration::from_secs(20)).await;
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_requeue_that_takes_long_to_commit_is_found_by_a_sleeping_worker() {
    let app = TestApp::start().await;
    let endpoint = three_dead_letters(&app, "shop").await;
    let worker = sleeping_worker(&app).await;
    endpoint.receiver.answer(Answer::ok());
    let mut transaction = app.pool().begin().await.unwrap();
    sqlx::query(REQUEUE)
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::query("select pg_sleep(2)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let took = app.drained_within(Duration::from_secs(20)).await;
    println!("delivered {took:?} after the commit");
    app.finish([worker]).await;
}

#[tokio::test]
async fn requeue_takes_dead_letters_by_filter_and_delivered_ones_by_id() {
    let app = TestApp::start().await;
    let endpoint = three_dead_letters(&app, "shop").await;
    let worker = app.worker().start().await;
    endpoint.receiver.answer(Answer::ok());
    let none: i64 = app
        .value("select postrider.requeue(instance => 'shop', error_like => '%no such error%')")
        .await;
    let future: i64 = app
        .value("select postrider.requeue(since => now() + interval '1 hour')")
        .await;
    let all: i64 = app
        .value("select postrider.requeue(instance => 'shop', error_like => '500%')")
        .await;
    assert_eq!((none, future, all), (0, 0, 3));
    app.counted("delivered", 3).await;
    let again: i64 = app
        .value(
            "select postrider.requeue(ids => array(select min(id) from postrider.webhook_queue))",
        )
        .await;
    assert_eq!(again, 1);
    endpoint.receiver.wait_for(6 + 3 + 1).await;
    app.counted("delivered", 3).await;
    app.finish([worker]).await;
}

#[tokio::test]
async fn replay_sends_every_event_since_a_time_under_its_old_id() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").events(&["order.paid"]).create().await;
    let worker = app.worker().start().await;
    let events = app.emit_many(5).await;
    app.emit("order.shipped", "{}").await;
    app.drained().await;
    let queued: i64 = app
        .value(&format!(
            "select postrider.replay({}, now() - interval '1 hour')",
            endpoint.id
        ))
        .await;
    assert_eq!(queued, 5);
    app.drained().await;
    assert_eq!(
        app.assert_seen(&endpoint, &events),
        5,
        "each came once more"
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_late_outcome_undoes_nothing_that_an_operator_did_meanwhile() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::status(500).after(Duration::from_secs(1)))
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    endpoint.receiver.wait_for(1).await;
    app.sql("update postrider.webhook_queue set status = 'delivered', last_error = 'by hand'")
        .await;
    until("the outcome comes", PATIENCE, async || {
        worker.metric("postrider_completions_fenced_total") > 0.0
    })
    .await;
    let row = app.row().await;
    assert_eq!((row.status.as_str(), row.attempts), ("delivered", 0));
    assert_eq!(row.last_error.as_deref(), Some("by hand"));
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_corrected_url_heals_what_waits_and_shows_in_the_row() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .failing(500)
        .schedule("evolution-lite")
        .create()
        .await;
    let other = app.endpoint("elsewhere").events(&["none"]).create().await;
    let worker = app.worker().start().await;
    let event = app.emit("order.paid", "{}").await;
    until("it failed once", PATIENCE, async || {
        app.row().await.attempts == 1
    })
    .await;
    app.sql(&format!(
        "select postrider.set_endpoint('shop', '{}', 'shop')",
        other.receiver.url()
    ))
    .await;
    app.sql("update postrider.webhook_queue set next_retry_at = now()")
        .await;
    app.drained().await;
    app.assert_seen(&other, &[event]);
    assert_eq!(app.row().await.url, other.receiver.url());
    assert_eq!(endpoint.receiver.count(), 1);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_deleted_endpoint_leaves_dead_letters_and_no_attempts() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .failing(500)
        .schedule("evolution-lite")
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit_many(3).await;
    endpoint.receiver.wait_for(3).await;
    until("all have failed once", PATIENCE, async || {
        app.rows().await.iter().all(|row| row.attempts == 1)
    })
    .await;
    let deleted: bool = app
        .value(&format!(
            "select postrider.delete_endpoint({})",
            endpoint.id
        ))
        .await;
    assert!(deleted);
    assert_eq!(app.count("failed").await, 3);
    assert_eq!(app.value::<i64>("select count(*) from postrider.dead_letters where last_error = 'the endpoint was deleted'").await, 3);
    // Re-queued, they have nowhere to go.
    app.sql(REQUEUE).await;
    app.counted("failed", 3).await;
    let errors: i64 = app.value("select count(*) from postrider.dead_letters where last_error = 'its endpoint was deleted'").await;
    assert_eq!((errors, endpoint.receiver.count()), (3, 3));
    app.finish([worker]).await;
}

#[tokio::test]
async fn an_endpoint_with_a_backlog_is_gone_at_once_and_what_was_pending_becomes_dead_letters_soon()
{
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    app.emit_many(2500).await;
    // As it is with what was set aside: no worker will meet it for an hour.
    app.sql("update postrider.webhook_queue set next_retry_at = now() + interval '1 hour'")
        .await;
    let deleted: bool = app
        .value(&format!(
            "select postrider.delete_endpoint({})",
            endpoint.id
        ))
        .await;
    let listed: i64 = app
        .value("select count(*) from postrider.endpoint_list")
        .await;
    assert_eq!((deleted, listed), (true, 0));
    // The caller has paid for the first of them only.
    assert_eq!(app.count("failed").await, 1000);
    let worker = app.worker().start().await;
    app.counted("failed", 2500).await;
    let told: i64 = app.value("select count(*) from postrider.dead_letters where last_error = 'the endpoint was deleted'").await;
    assert_eq!((told, endpoint.receiver.count()), (2500, 0));
    app.assert_depth_is_exact().await;
    app.finish([worker]).await;
}

#[tokio::test]
async fn thousands_of_dead_letters_are_requeued_under_load_without_a_deadlock() {
    let rows = crate::support::wait::scaled(10_000);
    let app = TestApp::start().await;
    let busy = app
        .endpoint("busy")
        .events(&["order.paid"])
        .max_in_flight(50)
        .create()
        .await;
    let dead = app
        .endpoint("dead")
        .events(&["order.lost"])
        .answering(Answer::ok().after(Duration::from_millis(20)))
        .max_in_flight(50)
        .create()
        .await;
    app.sql(&format!(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, status, endpoint_id, attempts)
         select 'shop', '{}', '{{}}', 'order.lost', 'failed', {}, 5 from generate_series(1, {rows})",
        dead.receiver.url(), dead.id
    ))
    .await;
    let workers = app.worker().spawn_two().await;
    let (mut events, mut held) = (Vec::new(), Vec::new());
    let started = Instant::now();
    let load = async {
        for _ in 0..10 {
            events.extend(app.emit_many(100).await);
        }
    };
    // Two operators at once, and one who changes his mind about what is in flight.
    let requeue = async {
        for _ in 0..3 {
            app.sql(REQUEUE).await;
            until("some are in flight", PATIENCE, async || {
                dead.receiver.concurrency() > 0
            })
            .await;
            held.extend(change_of_mind(&app, &dead).await);
        }
        app.sql(REQUEUE).await
    };
    tokio::join!(load, requeue);
    app.drained_within(Duration::from_mins(2)).await;
    println!(
        "{rows} rows re-queued and delivered in {:?}",
        started.elapsed()
    );
    assert_eq!(app.count("delivered").await, rows + events.len());
    let deadlocks: i64 = app
        .value("select deadlocks from pg_stat_database where datname = current_database()")
        .await;
    assert_eq!(deadlocks, 0);
    app.oracle()
        .healthy(&busy, &events)
        .healthy(&dead, &[])
        .may_come_again(&held)
        .judge(workers)
        .await;
}

/// Everything of an endpoint is given up. Answers with what workers held of it: it may be with the receiver already.
async fn change_of_mind(app: &TestApp, endpoint: &Endpoint) -> Vec<Delivery> {
    let held: Vec<i64> = sqlx::query_scalar(
        "with pending as (
           select id, lease_token from postrider.webhook_queue where status = 'pending' and endpoint_id = $1 for update
         ), given_up as (
           update postrider.webhook_queue queue set status = 'failed' from pending where queue.id = pending.id
         )
         select id from pending where lease_token is not null",
    )
    .bind(endpoint.id)
    .fetch_all(app.pool())
    .await
    .unwrap();
    held.into_iter()
        .map(|id| (endpoint.id, format!("row-{id}")))
        .collect()
}
