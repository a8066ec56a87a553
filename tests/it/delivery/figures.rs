//! What `/metrics` says of the queue, against the queue itself.

use std::time::Duration;

use crate::support::app::TestApp;
use crate::support::wait::until;

/// How old a figure may be.
const FRESH: Duration = Duration::from_secs(15);

#[tokio::test]
async fn metrics_tell_what_is_in_the_queue_and_what_became_of_the_attempts() {
    let app = TestApp::start().await;
    let shop = app.endpoint("shop").create().await;
    let lost = app
        .endpoint("lost")
        .failing(500)
        .max_attempts(2)
        .create()
        .await;
    let paused = app.endpoint("paused").create().await;
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'paused', 'a test')",
        paused.id
    ))
    .await;
    // Due for an hour, and locked by somebody who does not let go.
    let locked = app.insert_direct("http://127.0.0.1:9/", "{}").await;
    let mut open = app.pool().begin().await.unwrap();
    sqlx::query("update postrider.webhook_queue set next_retry_at = now() - interval '1 hour' where id = $1")
        .bind(locked)
        .execute(app.pool())
        .await
        .unwrap();
    sqlx::query("select from postrider.webhook_queue where id = $1 for update")
        .bind(locked)
        .execute(&mut *open)
        .await
        .unwrap();
    // So few that no breaker opens.
    app.emit_many(4).await;
    let worker = app.worker().start().await;
    app.counted("delivered", 4).await;
    app.counted("failed", 4).await;
    let rows = |status: &str| {
        worker.metric(&format!(
            "postrider_queue_rows{{status=\"{status}\",channel=\"webhook\"}}"
        ))
    };
    let is = |value: f64, what: f64| (value - what).abs() < 0.5;
    until("the figures are those of the queue", FRESH, async || {
        is(rows("pending"), 5.0)
            && is(rows("delivered"), 4.0)
            && is(rows("failed"), 4.0)
            && (3600.0..3700.0).contains(&worker.metric("postrider_queue_oldest_due_seconds"))
            && is(worker.metric("postrider_queue_held_endpoints"), 1.0)
            && (1.0..100.0)
                .contains(&worker.metric("postrider_database_oldest_transaction_seconds"))
            && (0.0..=1.0).contains(&worker.metric("postrider_queue_hot_update_ratio"))
            && worker.metric("postrider_queue_dead_tuples") > 0.0
    })
    .await;
    for (name, count) in [
        ("postrider_retries_total", 4.0),
        ("postrider_dead_letters_total", 4.0),
        ("postrider_attempts_total", 12.0),
        ("postrider_delivery_lag_seconds_count", 4.0),
        ("postrider_attempt_duration_seconds_count", 12.0),
        ("postrider_completion_batch_rows_sum", 12.0),
    ] {
        let value = worker.metric(name);
        assert!(is(value, count), "{name}: {value}");
    }
    assert!(worker.metric("postrider_completion_duration_seconds_count") > 0.0);
    open.rollback().await.unwrap();
    app.sql("update postrider.webhook_queue set status = 'failed' where status = 'pending'")
        .await;
    drop((shop, lost));
    app.finish([worker]).await;
}
