//! The state machine stands in the table: what may not be is refused, whoever tries, and what is done by hand means what it says.

use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

/// A pending row with a lease, as a worker would hold it.
async fn leased(app: &TestApp) {
    app.insert_direct("http://127.0.0.1:9/", "{}").await;
    app.sql("update postrider.webhook_queue set lease_token = 7, lease_until = now() + interval '1 minute', crashes = 3").await;
}

/// Asserts that a statement is refused, by which rule.
async fn refused(app: &TestApp, statement: &str, rule: &str) {
    let error = app.try_sql(statement).await.expect_err(statement);
    let error = error.as_database_error().unwrap();
    let named = error.constraint().unwrap_or_default().to_owned() + error.message();
    assert!(named.contains(rule), "{statement}: {error:?}");
}

#[tokio::test]
async fn illegal_states_are_refused_by_the_table() {
    let app = TestApp::start().await;
    leased(&app).await;
    for (change, rule) in [
        ("status = 'sent'", "status_is_known"),
        ("status = null", "status"),
        ("lease_token = null", "lease_is_sound"),
        ("lease_until = null", "lease_is_sound"),
        ("next_retry_at = 'infinity'", "next_retry_is_finite"),
        ("next_retry_at = '-infinity'", "next_retry_is_finite"),
        ("attempts = -1", "attempts_are_counted"),
        ("max_attempts = 0", "attempts_are_limited"),
        ("crashes = -1", "attempts_are_counted"),
        ("channel = 'pigeon'", "channel_is_known"),
        ("url = 'ftp://x'", "url_is_http"),
        ("url = 'http://a b'", "url_is_http"),
        ("event_id = 1", "event_is_whole"),
        ("instance_name = ''", "instance_is_named"),
        ("lane = 1", "lane"),
        ("target = 1", "target"),
    ] {
        refused(
            &app,
            &format!("update postrider.webhook_queue set {change}"),
            rule,
        )
        .await;
    }
    app.sql("update postrider.webhook_queue set status = 'failed'")
        .await;
    refused(
        &app,
        "update postrider.webhook_queue set lease_token = 1, lease_until = now()",
        "lease_is_sound",
    )
    .await;
}

#[tokio::test]
async fn a_payload_that_is_too_large_is_refused_however_it_is_written_and_what_was_there_before_is_in_nobodys_way()
 {
    let app = TestApp::start().await;
    app.sql("update postrider.limits set payload_bytes_max = 2097152")
        .await;
    let large = "decode(repeat('61', 2000001), 'hex')";
    let larger = "decode(repeat('61', 2100000), 'hex')";
    let insert = |payload: &str| {
        format!(
            "insert into postrider.webhook_queue (instance_name, url, payload, event_type) values ('shop', 'http://127.0.0.1:9/', {payload}, 'a')"
        )
    };
    refused(&app, &insert(larger), "payload_is_limited").await;
    app.sql(&insert(large)).await;
    let grow = format!("update postrider.webhook_queue set payload = {larger}");
    refused(&app, &grow, "2100000 bytes, more than the limit of 2097152").await;
    app.endpoint("shop").create().await;
    app.emit("order.paid", "{}").await;
    refused(
        &app,
        &format!("{grow} where endpoint_id is not null"),
        "payload_is_limited",
    )
    .await;
    // Lowered since.
    app.sql("update postrider.limits set payload_bytes_max = 1048576")
        .await;
    app.sql(
        "update postrider.webhook_queue set url = 'http://127.0.0.1:10/' where endpoint_id is null",
    )
    .await;
}

#[tokio::test]
async fn a_direct_insert_that_cannot_be_sent_is_refused_with_the_reason() {
    let app = TestApp::start().await;
    for (values, rule) in [
        ("'shop', 'mailto:x@y', '', 't'", "url_is_http"),
        ("'', 'http://x', '', 't'", "instance_is_named"),
        ("null, 'http://x', '', 't'", "instance_is_named"),
        ("'shop', null, '', 't'", "url"),
        ("'shop', 'http://x', null, 't'", "payload"),
        ("'shop', 'http://x', '', null", "event_type"),
    ] {
        let insert = format!(
            "insert into webhook_queue (instance_name, url, payload, event_type) values ({values})"
        );
        refused(&app, &insert, rule).await;
    }
    app.sql("insert into webhook_queue (instance_name, url, payload, event_type) values ('shop', 'http://x', '{}', 't')").await;
}

#[tokio::test]
async fn a_lane_named_by_hand_hides_no_row() {
    let app = TestApp::start().await;
    app.sql("insert into postrider.webhook_queue (instance_name, url, payload, event_type, target, lane) values ('shop', 'http://x', '{}', 't', 7, 99)")
        .await;
    let right = "select lane between 0 and 63 and target < 0 from postrider.webhook_queue";
    assert!(app.value::<bool>(right).await);
    app.assert_depth_is_exact().await;
    refused(
        &app,
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, lane) values ('shop', 'ftp://x', '{}', 't', 1)",
        "url_is_http",
    )
    .await;
}

#[tokio::test]
async fn any_change_of_status_by_hand_ends_the_lease() {
    let app = TestApp::start().await;
    for status in ["failed", "delivered"] {
        leased(&app).await;
        app.sql(&format!(
            "update postrider.webhook_queue set status = '{status}'"
        ))
        .await;
        let row = app.row().await;
        assert_eq!((row.status.as_str(), row.leased), (status, false));
        app.sql("delete from postrider.webhook_queue").await;
    }
    app.assert_depth_is_exact().await;
}

#[tokio::test]
async fn a_requeued_row_begins_a_new_cycle_unless_the_operator_says_how_far_it_is() {
    let app = TestApp::start().await;
    leased(&app).await;
    app.sql("update postrider.webhook_queue set status = 'failed', attempts = 5, first_attempt_at = now()").await;
    app.sql("update postrider.webhook_queue set status = 'pending'")
        .await;
    let anew = "select (attempts, crashes, first_attempt_at is null, next_retry_at = updated_at) = (0, 0::smallint, true, true) from postrider.webhook_queue";
    assert!(app.value::<bool>(anew).await);
    app.sql("update postrider.webhook_queue set status = 'failed', attempts = 5")
        .await;
    app.sql("update postrider.webhook_queue set status = 'pending', attempts = 3, next_retry_at = now() + interval '1 hour'").await;
    let row = app.row().await;
    assert_eq!(row.attempts, 3);
    assert!(row.due_in_s > 3500.0, "{}", row.due_in_s);
    app.assert_depth_is_exact().await;
}

#[tokio::test]
async fn bad_arguments_are_answered_with_what_is_wrong_and_leave_nothing_behind() {
    let app = TestApp::start().await;
    for (call, message) in [
        ("emit('nobody', 'a', '{}')", "there is no instance 'nobody'"),
        ("emit(null, 'a', '{}')", "the event names no instance"),
        (
            "emit('shop', 'two words', '{}')",
            "event type 'two words' of instance 'shop' is not a name",
        ),
        ("emit('shop', null, '{}')", "is not a name"),
        ("emit('shop', 'a', null::json)", "has no data"),
        (
            "emit('shop', 'a', '{')",
            "invalid input syntax for type json",
        ),
        (
            "emit('shop', 'a', to_json(repeat('x', 13 * 1024 * 1024)))",
            "more than the limit of 12582912",
        ),
        ("emit_many('{}')", "not a JSON array"),
        (
            "emit_many('[{\"instance\": \"shop\", \"type\": \"a\", \"data\": {}}, 7]')",
            "element 2 is not an event",
        ),
        (
            "emit_many('[{\"instance\": \"nobody\", \"type\": \"a\", \"data\": {}}]')",
            "there is no instance 'nobody'",
        ),
        (
            "create_instance('shop')",
            "there is already an instance 'shop'",
        ),
        ("create_instance(' x')", "cannot name an instance"),
        ("set_endpoint('shop', 'ftp://x')", "cannot be set"),
        (
            "set_endpoint('shop', 'http://x', 'no spaces please')",
            "cannot be set",
        ),
        (
            "set_endpoint('shop', 'http://x', schedule => 'never')",
            "there is no schedule 'never'",
        ),
        (
            "set_endpoint('shop', 'http://x', signing_secret => 'secret')",
            "the signing secret is not one",
        ),
        (
            "set_endpoint('shop', 'http://x', headers => '[]')",
            "headers is not a JSON object of strings",
        ),
        (
            "set_endpoint('shop', 'http://x', timeout_ms => 1)",
            "cannot be set",
        ),
        (
            "set_endpoint('nobody', 'http://x')",
            "there is no instance 'nobody'",
        ),
        ("set_endpoint_state(7, 'paused')", "there is no endpoint 7"),
        ("replay(7, now())", "there is no endpoint 7"),
    ] {
        refused(&app, &format!("select postrider.{call}"), message).await;
    }
    let left: i64 = app.value("select (select count(*) from postrider.events) + (select count(*) from postrider.webhook_queue) + (select count(*) from postrider.endpoints)").await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn arguments_that_would_silently_mean_something_else_are_refused() {
    let app = TestApp::start().await;
    let _shop = app.endpoint("shop").create().await;
    for (call, message) in [
        (
            "emit_many('[{\"instance\": \"shop\", \"type\": \"a\", \"data\": {}, \"idempotencyKey\": \"x\"}]')",
            "element 1 has a key 'idempotencyKey', which means nothing",
        ),
        (
            "emit_rows('{shop,shop}', '{a,b}', '{1,2}', '{once}')",
            "not of equal length: 2, 2, 2, 1, none",
        ),
        (
            "emit_rows('{shop}', '{a,b}', '{1}')",
            "not of equal length: 1, 2, 1, none, none",
        ),
        (
            "emit_rows(null, '{a}', '{1}')",
            "not of equal length: none, 1, 1, none, none",
        ),
        (
            "set_endpoint_state(7, 'resting')",
            "'resting' is no state of an endpoint",
        ),
        ("requeue('bank')", "there is no instance 'bank'"),
        ("requeue(endpoint => 7)", "there is no endpoint 7"),
        ("requeue(ids => '{7,8}')", "there is no delivery 7, 8"),
        (
            "requeue(since => '2026-02-01', until => '2026-01-01')",
            "is not after since",
        ),
        (
            "replay((select min(id) from postrider.endpoints), since => '2026-02-01', until => '2026-01-01')",
            "is not after since",
        ),
    ] {
        refused(&app, &format!("select postrider.{call}"), message).await;
    }
    assert_eq!(
        app.value::<i64>("select count(*) from postrider.events")
            .await,
        0
    );
}

#[tokio::test]
async fn emit_goes_by_the_limits_that_the_program_was_configured_with() {
    let app = TestApp::start().await;
    let emit = "select postrider.emit('shop', 'a', to_json(repeat('x', 2 * 1024 * 1024)))";
    let worker = app
        .worker()
        .set("limits.payload_bytes_max", 1024 * 1024)
        .set("retention.idempotency_hours", 48)
        .spawn();
    until("the limit holds", PATIENCE, async || {
        app.value::<i64>("select payload_bytes_max from postrider.limits")
            .await
            == 1024 * 1024
    })
    .await;
    refused(&app, emit, "more than the limit of 1048576").await;
    let once = "select postrider.emit('shop', 'a', '{}', idempotency_key => 'order-17')";
    let first: String = app.value(once).await;
    app.sql("update postrider.idempotency_keys set created_at = now() - interval '47 hours'")
        .await;
    assert_eq!(app.value::<String>(once).await, first);
    worker.stop().await;
    let worker = app.worker().spawn();
    until("the usual limit holds", PATIENCE, async || {
        app.value::<i64>("select payload_bytes_max from postrider.limits")
            .await
            > 1024 * 1024
    })
    .await;
    app.value::<String>(emit).await;
    worker.stop().await;
}

#[tokio::test]
async fn what_rolls_back_never_was() {
    let app = TestApp::start().await;
    app.endpoint("all").create().await;
    let mut transaction = app.pool().begin().await.unwrap();
    sqlx::query("select postrider.emit('shop', 'order.paid', '{}')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    let left: i64 = app.value("select (select count(*) from postrider.events) + (select count(*) from postrider.webhook_queue)").await;
    assert_eq!(left, 0);
    app.assert_depth_is_exact().await;
}
