//! One bad row, event or endpoint never stops the others.

use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};

use postrider::channels::{Channel, Outcome, Webhook};
use postrider::db::{Database, Purpose};
use postrider::model::Parcel;

use crate::support::app::TestApp;
use crate::support::receiver::{Answer, Receiver};
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::be_faulty_worker;

#[tokio::test]
async fn rows_with_values_from_beyond_any_calendar_or_count_stop_nobody() {
    let app = TestApp::start().await;
    let healthy = app.endpoint("healthy").create().await;
    let url = healthy.receiver.url();
    for odd in [
        "created_at = 'infinity'",
        "created_at = '-infinity'",
        "created_at = '20000-01-01'",
        "event_at = '-infinity'",
        "event_at = '4713-01-01 BC'",
        "first_attempt_at = 'infinity'",
        "next_retry_at = '4713-01-01 BC'",
        "attempts = 2147483647, max_attempts = 2147483647",
        "crashes = 2147483647",
        "event_type = E'a\\nb'",
    ] {
        let id = app.insert_direct(&url, "{}").await;
        app.sql(&format!(
            "update postrider.webhook_queue set {odd} where id = {id}"
        ))
        .await;
    }
    let worker = app.worker().start().await;
    let events = app.emit_many(20).await;
    app.drained().await;
    app.assert_seen(&healthy, &events);
    let failed: Vec<String> = app
        .rows()
        .await
        .into_iter()
        .filter(|row| row.status == "failed")
        .filter_map(|row| row.last_error)
        .collect();
    assert_eq!(failed, ["10 workers died or stopped while they held it"]);
    assert!(worker.metric("postrider_database_errors_total") < 1.0);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_row_over_which_ten_leases_expired_is_buried_without_an_attempt() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    app.insert_direct(&receiver.url(), "{}").await;
    app.sql("update postrider.webhook_queue set crashes = 9, lease_token = 1, lease_until = now() - interval '1 second'").await;
    let workers = app.worker().spawn_two().await;
    app.counted("failed", 1).await;
    let row = app.row().await;
    assert_eq!(
        row.last_error.as_deref(),
        Some("10 workers died or stopped while they held it")
    );
    let log = app.attempts(row.id).await;
    assert_eq!((log.len(), log[0].class.as_deref()), (1, Some("crash")));
    assert_eq!(receiver.count(), 0);
    app.oracle().dead_letters("true").judge(workers).await;
}

#[tokio::test]
async fn a_row_over_which_nine_leases_expired_is_tried_and_forgiven() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_in_turn([Answer::status(500), Answer::ok()]);
    app.insert_direct(&receiver.url(), "{}").await;
    app.sql("update postrider.webhook_queue set crashes = 8, lease_token = 1, lease_until = now() - interval '1 second'").await;
    let workers = app.worker().spawn_two().await;
    app.drained().await;
    assert_eq!(
        app.value::<i32>("select crashes from postrider.webhook_queue")
            .await,
        0
    );
    assert_eq!(receiver.count(), 2);
    app.oracle().judge(workers).await;
}

#[tokio::test]
async fn receivers_that_misbehave_fail_in_their_own_way_and_delay_nobody() {
    let app = TestApp::start().await;
    let private = Receiver::start().await;
    let expected = [
        (
            "endless",
            Answer::ok().endless(Duration::from_millis(50)),
            "timeout",
        ),
        ("mute", Answer::hang(), "timeout"),
        (
            "garbage",
            Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"),
            "protocol",
        ),
        ("closing", Answer::close(), "protocol"),
        (
            "redirecting",
            Answer::status(302).header("location", &private.url()),
            "redirect",
        ),
    ];
    let mut endpoints = Vec::new();
    for (label, answer, _) in &expected {
        endpoints.push(
            app.endpoint(label)
                .answering(answer.clone())
                .timeout_ms(1000)
                .max_attempts(1)
                .create()
                .await,
        );
    }
    let healthy = app.endpoint("healthy").create().await;
    let workers = app.worker().spawn_two().await;
    let events = app.emit_many(10).await;
    app.counted("delivered", 10).await;
    app.drained().await;
    for (endpoint, (label, _, class)) in endpoints.iter().zip(&expected) {
        let classes: Vec<String> = sqlx::query_scalar(
            "select distinct class from postrider.attempts where endpoint_id = $1",
        )
        .bind(endpoint.id)
        .fetch_all(app.pool())
        .await
        .unwrap();
        assert_eq!(classes, [*class], "{label}");
    }
    assert_eq!(private.connections(), 0, "a redirect was followed");
    app.oracle()
        .healthy(&healthy, &events)
        .dead_letters(&format!("endpoint_id <> {}", healthy.id))
        .judge(workers)
        .await;
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused_and_said_so() {
    let app = TestApp::start().await;
    let inside = app.endpoint("inside").max_attempts(1).create().await;
    let port = inside.receiver.address().port();
    app.sql(&format!(
        "select postrider.set_endpoint('shop', 'http://localhost:{port}/', 'inside')"
    ))
    .await;
    let allowed = Ipv4Addr::new(127, 0, 0, 2);
    let healthy = app.endpoint("healthy").at(allowed).create().await;
    let workers = app
        .worker()
        .set("egress.allow", format!("['{allowed}/32']"))
        .spawn_two()
        .await;
    let events = app.emit_many(10).await;
    app.drained().await;
    let classes: Vec<String> =
        sqlx::query_scalar("select class from postrider.attempts where endpoint_id = $1")
            .bind(inside.id)
            .fetch_all(app.pool())
            .await
            .unwrap();
    assert_eq!(classes, ["egress"; 10]);
    assert_eq!(inside.receiver.connections(), 0);
    app.oracle()
        .healthy(&healthy, &events)
        .dead_letters(&format!("endpoint_id = {}", inside.id))
        .judge(workers)
        .await;
}

#[tokio::test]
async fn what_is_past_its_retention_is_removed_and_nothing_else() {
    let app = TestApp::start().await;
    let url = Receiver::start().await.url();
    let old = "now() - interval '3 days'";
    for (status, age) in [
        ("delivered", old),
        ("delivered", "now()"),
        ("failed", old),
        ("pending", old),
    ] {
        app.sql(&format!(
            "insert into postrider.webhook_queue (instance_name, url, payload, event_type, status, updated_at, next_retry_at)
             values ('shop', '{url}', '', 't', '{status}', {age}, now() + interval '1 day')"
        ))
        .await;
    }
    app.emit("order.paid", "{}").await;
    let kept = app.emit("order.paid", "{}").await;
    app.sql(&format!("update postrider.events set created_at = {old} where id = (select min(id) from postrider.events)")).await;
    app.sql(&format!("insert into postrider.attempts (delivery_id, attempt, at, duration_ms, outcome) values (1, 1, {old}, 1, 'delivered'), (2, 1, now(), 1, 'delivered')")).await;
    app.sql(&format!("insert into postrider.idempotency_keys (instance_id, key, event_id, event_nonce, created_at) values (1, 'old', 1, 1, {old}), (1, 'new', 1, 1, now())")).await;
    app.sql(&format!("insert into postrider.capture_failure_log (failed_at, capture, relation, operation, sqlstate, message, \"row\")
         select at, 'shop', 'pg_class', 'insert', '22012', 'division by zero', '{{}}' from unnest(array[{old}, now()]) as at")).await;
    let worker = app
        .worker()
        .set("retention.delivered_days", 2)
        .set("retention.events_days", 2)
        .set("retention.attempts_days", 2)
        .start()
        .await;
    until("the old ones are gone", PATIENCE, async || {
        app.value::<i64>("select (select count(*) from postrider.webhook_queue) + (select count(*) from postrider.events) + (select count(*) from postrider.attempts) + (select count(*) from postrider.idempotency_keys) + (select count(*) from postrider.capture_failure_log)").await == 3 + 1 + 1 + 1 + 1
    })
    .await;
    assert_eq!(
        (
            app.count("delivered").await,
            app.count("failed").await,
            app.count("pending").await
        ),
        (1, 1, 1)
    );
    assert_eq!(
        app.value::<String>("select postrider.event_id(id, nonce) from postrider.events")
            .await,
        kept
    );
    worker.stop().await;
    let worker = app.worker().set("retention.failed_days", 2).start().await;
    app.counted("failed", 0).await;
    app.finish([worker]).await;
}

#[tokio::test]
async fn retention_reads_what_is_old_and_no_week_of_deliveries_behind_it() {
    let app = TestApp::start().await;
    let days = |days: u64| Some(Duration::from_hours(days * 24));
    for (rows, age) in [(7_000, "3 days"), (20_000, "1 hour")] {
        app.sql(&format!(
            "insert into postrider.webhook_queue (instance_name, url, payload, event_type, status, created_at, updated_at)
             select 'shop', 'http://example.com/', '', 't', 'delivered', at, at
             from generate_series(1, {rows}), (values (now() - interval '{age}')) as moment(at)"
        ))
        .await;
    }
    let database = Database::open(app.options(), Purpose::Worker, 2);
    let mut walk = 0;
    let mut steps = 1;
    while let Some(end) = database
        .expire_deliveries(walk, days(2), None)
        .await
        .unwrap()
    {
        walk = end;
        steps += 1;
    }
    assert_eq!(app.count("delivered").await, 20_000);
    // 5000 rows a step: two with old rows in them, and the one after.
    assert!(steps <= 3, "{steps} steps");
}

#[tokio::test]
async fn an_outcome_that_the_database_refuses_keeps_no_other_from_being_written() {
    let app = TestApp::start().await;
    app.sql("alter table postrider.attempts add constraint attempts_without_poison check (response <> 'poison')").await;
    let odd = app
        .endpoint("odd")
        .answering(Answer::ok().body("poison"))
        .create()
        .await;
    let healthy = app.endpoint("healthy").create().await;
    let worker = app.worker().start().await;
    let events = app.emit_many(30).await;
    app.drained().await;
    assert_eq!(app.assert_seen(&healthy, &events), 0);
    assert_eq!(
        app.assert_seen(&odd, &events),
        0,
        "what was delivered is so for good"
    );
    let said: Vec<(bool, Option<String>)> = sqlx::query_as(
        "select distinct response is null, detail from postrider.attempts where endpoint_id = $1",
    )
    .bind(odd.id)
    .fetch_all(app.pool())
    .await
    .unwrap();
    let expected = "what the receiver answered could not be written";
    assert_eq!(said, [(true, Some(expected.to_owned()))]);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_completed_at_all_is_buried_in_the_end_and_disturbs_nobody() {
    let app = TestApp::start().await;
    let healthy = app.endpoint("healthy").create().await;
    let stubborn = app.insert_direct(&healthy.receiver.url(), "{}").await;
    app.sql(&format!(
        "alter table postrider.webhook_queue add constraint stubborn check (id <> {stubborn} or status <> 'delivered')"
    ))
    .await;
    app.sql("update postrider.webhook_queue set crashes = 8")
        .await;
    let worker = app
        .worker()
        .set("worker.timeout_ms", 1000)
        .set("worker.lease_s", 3)
        .start()
        .await;
    let events = app.emit_many(30).await;
    app.counted("delivered", 30).await;
    app.counted("failed", 1).await;
    app.assert_seen(&healthy, &events);
    app.finish([worker]).await;
}

/// A channel with a payload that it cannot stand.
#[derive(Debug)]
struct Brittle(Webhook);

impl Channel for Brittle {
    async fn deliver(&self, parcel: &Parcel) -> Outcome {
        assert!(parcel.event_type != "order.bomb", "on purpose");
        self.0.deliver(parcel).await
    }
}

#[tokio::test]
#[ignore = "not a test: the workers that the test below starts"]
async fn a_worker_that_is_brittle() {
    be_faulty_worker(|webhook| Arc::new(Brittle(webhook))).await;
}

#[tokio::test]
async fn a_payload_that_panics_its_handler_ends_as_a_dead_letter_and_disturbs_nobody() {
    let app = TestApp::start().await;
    let shop = app.endpoint("shop").max_attempts(3).create().await;
    let brittle = "delivery::poison::a_worker_that_is_brittle";
    let workers = [(); 2].map(|()| app.worker().spawn_faulty(brittle));
    let mut events = app.emit_many(20).await;
    app.emit("order.bomb", "{}").await;
    events.extend(app.emit_many(20).await);
    app.counted("failed", 1).await;
    let bomb = app
        .value::<i64>("select id from postrider.webhook_queue where status = 'failed'")
        .await;
    let log = app.attempts(bomb).await;
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|logged| {
        logged.class.as_deref() == Some("crash")
            && logged
                .detail
                .as_deref()
                .is_some_and(|detail| detail.contains("on purpose"))
    }));
    app.oracle()
        .healthy(&shop, &events)
        .dead_letters("event_type = 'order.bomb'")
        .judge(workers)
        .await;
}

/// A channel with a payload that ends its process, as one that exhausts its memory does.
#[derive(Debug)]
struct Mortal(Webhook);

impl Channel for Mortal {
    async fn deliver(&self, parcel: &Parcel) -> Outcome {
        if parcel.event_type == "order.bomb" {
            raise(Signal::SIGKILL).unwrap();
        }
        self.0.deliver(parcel).await
    }
}

#[tokio::test]
#[ignore = "not a test: the workers that the test below starts"]
async fn a_worker_that_is_mortal() {
    be_faulty_worker(|webhook| Arc::new(Mortal(webhook))).await;
}

#[tokio::test]
async fn a_payload_that_kills_its_workers_ends_as_a_dead_letter_and_nobody_is_buried_with_it() {
    let app = TestApp::start().await;
    let shop = app
        .endpoint("shop")
        .answering(Answer::ok().after(Duration::from_millis(100)))
        .max_in_flight(50)
        .create()
        .await;
    // It is the first of its lane each time.
    app.emit("order.bomb", "{}").await;
    let mut events = app.emit_many(100).await;
    let mortal = || {
        app.worker()
            .set("worker.timeout_ms", 1000)
            .set("worker.lease_s", 3)
            .spawn_faulty("delivery::poison::a_worker_that_is_mortal")
    };
    let mut workers = [mortal(), mortal()];
    let (mut killed, mut held) = (0, Vec::new());
    until("nothing is pending", 3 * PATIENCE, async || {
        for worker in &mut workers {
            let Some(status) = worker.has_ended() else {
                continue;
            };
            assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
            killed += 1;
            held.extend(app.held().await);
            events.extend(app.emit_many(5).await);
            *worker = mortal();
        }
        app.count("pending").await == 0
    })
    .await;
    assert_eq!(killed, 10);
    let repeated = app
        .oracle()
        .healthy(&shop, &events)
        .may_come_again(&held)
        .dead_letters("event_type = 'order.bomb'")
        .judge(workers)
        .await;
    println!(
        "{killed} workers died, {} held by them, {repeated} delivered twice",
        held.len()
    );
}
