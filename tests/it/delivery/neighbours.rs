//! Healthy endpoints beside those that are not.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::endpoint::Endpoint;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, scaled, until};

#[tokio::test(flavor = "multi_thread")]
async fn healthy_endpoints_are_not_delayed_by_those_that_never_answer_or_by_a_backlog_first_in_line()
 {
    let app = TestApp::start().await;
    let mut healthy = Vec::new();
    for number in 0..8 {
        healthy.push(
            app.endpoint(&format!("healthy-{number}"))
                .events(&["order.paid"])
                .create()
                .await,
        );
    }
    let mut mute = Vec::new();
    for number in 0..8 {
        mute.push(
            app.endpoint(&format!("mute-{number}"))
                .events(&["order.lost"])
                .answering(Answer::hang())
                .timeout_ms(5000)
                .create()
                .await,
        );
    }
    let slow = Answer::ok().after(Duration::from_millis(50));
    let backlog = app
        .endpoint("backlog")
        .events(&["order.many"])
        .answering(slow)
        .create()
        .await;
    for (count, event_type) in [(scaled(5_000), "order.many"), (100, "order.lost")] {
        app.sql(&format!("select postrider.emit_rows(array_agg('shop'::text), array_agg('{event_type}'::text), array_agg('{{}}'::json)) from generate_series(1, {count})")).await;
    }
    let workers = app
        .worker()
        .set("worker.in_flight_max", 100)
        .spawn_two()
        .await;
    until("all of them are at it", PATIENCE, async || {
        mute.iter().all(|endpoint| endpoint.receiver.count() > 0)
    })
    .await;
    let (mut waits, mut events) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let event = app.emit("order.paid", "{}").await;
        let committed = Instant::now();
        let seen = |endpoint: &Endpoint| endpoint.receiver.ids().contains(&event);
        until("all have it", PATIENCE, async || healthy.iter().all(seen)).await;
        waits.push(committed.elapsed());
        events.push(event);
    }
    waits.sort();
    let (median, worst) = (waits[waits.len() / 2], waits[waits.len() * 95 / 100]);
    println!("the last of eight had it after {median:?} in the median, p95 {worst:?}");
    assert!(worst < Duration::from_millis(500), "p95 {worst:?}");
    let given_up = app
        .sql("update postrider.webhook_queue set status = 'failed', last_error = 'given up' where status = 'pending' and event_type = 'order.many'")
        .await;
    assert!(given_up > 0, "the backlog was gone before the end");
    app.sql("update postrider.webhook_queue set status = 'failed' where status = 'pending' and event_type = 'order.lost'")
        .await;
    let mut oracle = app
        .oracle()
        .dead_letters("event_type = 'order.lost' or last_error = 'given up'")
        .healthy(&backlog, &[]);
    for endpoint in &healthy {
        oracle = oracle.healthy(endpoint, &events);
    }
    oracle.judge(workers).await;
}
