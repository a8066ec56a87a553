//! When an attempt is made again, and when no more.

use std::time::Duration;

use crate::support::app::TestApp;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, until};

#[tokio::test]
async fn a_failing_endpoint_walks_down_its_schedule_and_ends_as_a_dead_letter() {
    let app = TestApp::start().await;
    app.sql("insert into postrider.schedules (name, waits, jitter, max_attempts) values ('stairs', '{100 ms,300 ms,900 ms}', 0, 5)").await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::status(503).body("out of order"))
        .schedule("stairs")
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    app.counted("failed", 1).await;
    let requests = endpoint.receiver.requests();
    assert_eq!(requests.len(), 5);
    let attempts: Vec<_> = requests
        .iter()
        .map(|request| request.header("x-postrider-attempt").to_owned())
        .collect();
    assert_eq!(attempts, ["1", "2", "3", "4", "5"]);
    for (pair, wait_ms) in requests.windows(2).zip([100, 300, 900, 900]) {
        let waited = pair[1].at - pair[0].at;
        assert!(
            waited >= Duration::from_millis(wait_ms),
            "{waited:?} is before {wait_ms} ms"
        );
    }
    let row = app.row().await;
    assert_eq!((row.attempts, row.leased), (5, false));
    assert_eq!(row.last_error.as_deref(), Some("503 Service Unavailable"));
    let log = app.attempts(row.id).await;
    assert_eq!(log.len(), 5);
    let last = &log[4];
    assert_eq!(
        (last.attempt, last.outcome.as_str(), last.status),
        (5, "failed", Some(503))
    );
    assert_eq!(last.class.as_deref(), Some("server"));
    assert_eq!(last.detail.as_deref(), Some("503 Service Unavailable"));
    assert_eq!(last.response.as_deref(), Some(&b"out of order"[..]));
    app.finish([worker]).await;
}

#[tokio::test]
async fn the_lag_of_what_had_to_be_tried_again_is_counted_from_its_commit_and_apart_from_that_of_first_tries()
 {
    let app = TestApp::start().await;
    app.sql("insert into postrider.schedules (name, waits, jitter, max_attempts) values ('pair', '{300 ms}', 0, 2)").await;
    let endpoint = app.endpoint("shop").schedule("pair").create().await;
    let worker = app.worker().start().await;
    let lag = |tried: &str, of: &str| {
        worker.metric(&format!(
            "postrider_delivery_lag_seconds_{of}{{channel=\"webhook\",tried=\"{tried}\"}}"
        ))
    };
    let counts = || (lag("first", "count"), lag("again", "count"));

    app.emit("order.paid", "1").await;
    app.counted("delivered", 1).await;
    assert_eq!(counts(), (1.0, 0.0));

    let out_of_order = Answer::status(503);
    endpoint
        .receiver
        .answer_in_turn([out_of_order.clone(), Answer::ok()]);
    app.emit("order.paid", "2").await;
    app.counted("delivered", 2).await;
    assert_eq!(counts(), (1.0, 1.0));
    assert!(lag("again", "sum") >= 0.3, "{}", lag("again", "sum"));

    endpoint.receiver.answer(out_of_order);
    app.emit("order.paid", "3").await;
    app.counted("failed", 1).await;
    endpoint.receiver.answer(Answer::ok());
    app.sql("update postrider.webhook_queue set created_at = created_at - interval '1 hour' where status = 'failed'")
        .await;
    app.sql("select postrider.requeue('shop')").await;
    app.counted("delivered", 3).await;
    assert_eq!(counts(), (1.0, 2.0));
    assert!(lag("again", "sum") >= 3600.0, "{}", lag("again", "sum"));
    assert!(lag("first", "sum") < 60.0, "{}", lag("first", "sum"));
    app.finish([worker]).await;
}

#[tokio::test]
async fn an_attempt_is_logged_by_when_it_began() {
    let app = TestApp::start().await;
    let slow = Answer::ok().after(Duration::from_millis(400));
    let _endpoint = app.endpoint("shop").answering(slow).create().await;
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    app.drained().await;
    let (began, ended): (bool, bool) = sqlx::query_as(
        "select attempt.at = queue.first_attempt_at and attempt.at > queue.created_at
           , attempt.at + attempt.duration_ms * interval '1 ms' = queue.updated_at and attempt.duration_ms >= 400
         from postrider.attempts attempt join postrider.webhook_queue queue on queue.id = attempt.delivery_id",
    )
    .fetch_one(app.pool())
    .await
    .unwrap();
    assert!(
        began,
        "it began after the row was queued, and with the cycle"
    );
    assert!(ended, "it ended when the row changed");
    app.finish([worker]).await;
}

#[tokio::test]
async fn the_log_says_once_that_an_endpoint_fails_and_of_each_batch_of_dead_letters_how_many() {
    let app = TestApp::start().await;
    app.sql("insert into postrider.schedules (name, waits, jitter, max_attempts) values ('short', '{10 ms}', 0, 3)").await;
    let endpoint = app
        .endpoint("shop")
        .failing(503)
        .schedule("short")
        .create()
        .await;
    let worker = app.worker().spawn();
    app.emit_many(3).await;
    app.counted("failed", 3).await;
    let told = |words: &str| worker.log().matches(words).count();
    until("the dead letters are told of", PATIENCE, async || {
        told("dead letters now") > 0
    })
    .await;
    assert_eq!(told("an endpoint fails"), 1, "{}", worker.log());
    assert!(told("503 Service Unavailable") > 0, "{}", worker.log());
    assert_eq!(
        told(&endpoint.receiver.url()),
        0,
        "no URL belongs in a log: {}",
        worker.log()
    );
    worker.stop().await;
}

#[tokio::test]
async fn an_edited_schedule_holds_from_the_next_failure_on() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .failing(500)
        .schedule("standard")
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    until("it failed once", PATIENCE, async || {
        app.row().await.attempts == 1
    })
    .await;
    let due_in_s = app.row().await.due_in_s;
    assert!(
        (3.0..6.1).contains(&due_in_s),
        "the first wait of `standard` is 5 s: {due_in_s}"
    );
    app.sql("update postrider.schedules set waits = '{1 day}', jitter = 0 where name = 'standard'")
        .await;
    app.sql("update postrider.webhook_queue set next_retry_at = now()")
        .await;
    endpoint.receiver.wait_for(2).await;
    until("it failed twice", PATIENCE, async || {
        app.row().await.attempts == 2
    })
    .await;
    let due_in_s = app.row().await.due_in_s;
    assert!((86_000.0..86_401.0).contains(&due_in_s), "{due_in_s}");
    app.finish([worker]).await;
}

#[tokio::test]
async fn retry_after_lengthens_the_wait_and_spares_the_attempt_of_an_overloaded_endpoint() {
    for (status, attempts) in [(503, 0), (429, 0), (500, 1)] {
        let app = TestApp::start().await;
        let answer = Answer::status(status).header("retry-after", "600");
        let _endpoint = app
            .endpoint("shop")
            .answering(answer)
            .max_attempts(2)
            .create()
            .await;
        let worker = app.worker().start().await;
        app.emit("order.paid", "{}").await;
        until("it was refused", PATIENCE, async || {
            app.row().await.last_error.is_some()
        })
        .await;
        let row = app.row().await;
        assert_eq!(
            (row.status.as_str(), row.attempts),
            ("pending", attempts),
            "{status}: {row:?}"
        );
        assert!((590.0..601.0).contains(&row.due_in_s), "{}", row.due_in_s);
        app.finish([worker]).await;
    }
}

#[tokio::test]
async fn a_status_that_the_schedule_lists_as_final_is_not_tried_again() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("shop")
        .failing(422)
        .schedule("evolution")
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    app.counted("failed", 1).await;
    assert_eq!(
        (app.row().await.attempts, endpoint.receiver.count()),
        (1, 1)
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn an_absurdly_long_wait_disturbs_nobody() {
    let app = TestApp::start().await;
    app.sql("insert into postrider.schedules (name, waits, jitter) values ('geological', '{170000000 years}', 0.2)").await;
    let far = app
        .endpoint("far")
        .failing(500)
        .schedule("geological")
        .create()
        .await;
    let near = app.endpoint("near").create().await;
    let worker = app
        .worker()
        .set("worker.breaker.failures_consecutive", 1000)
        .start()
        .await;
    let events = app.emit_many(20).await;
    far.receiver.wait_for(20).await;
    app.counted("delivered", 20).await;
    app.assert_seen(&near, &events);
    until("the failures are written", PATIENCE, async || {
        app.rows().await.iter().all(|row| !row.leased)
    })
    .await;
    app.finish([worker]).await;
}
