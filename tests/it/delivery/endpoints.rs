//! What an endpoint is, and what becomes of its deliveries.

use std::time::Duration;

use postrider::db::{Database, Purpose};

use crate::support::app::TestApp;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, until};

#[tokio::test]
async fn a_410_pauses_the_endpoint_and_its_rows_are_held_until_it_is_enabled() {
    let app = TestApp::start().await;
    let gone = app
        .endpoint("gone")
        .failing(410)
        .max_in_flight(1)
        .max_attempts(2)
        .create()
        .await;
    let watch = app
        .endpoint("watch")
        .events(&["postrider.endpoint.disabled"])
        .create()
        .await;
    let worker = app.worker().start().await;
    let mut events = vec![app.emit("order.paid", "{}").await];
    watch.receiver.wait_for(1).await;
    events.extend(app.emit_many(20).await);
    until("all are set aside", PATIENCE, async || {
        app.rows()
            .await
            .iter()
            .filter(|row| row.status == "pending")
            .all(|row| row.due_in_s > 60.0 && !row.leased)
    })
    .await;
    let asked = gone.receiver.count();
    assert!(
        asked < 4,
        "{asked} requests went to an endpoint that is gone"
    );
    assert_eq!(
        app.value::<String>("select state from postrider.endpoint_list where label = 'gone'")
            .await,
        "paused"
    );
    gone.receiver.answer(Answer::ok());
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'enabled')",
        gone.id
    ))
    .await;
    app.drained().await;
    app.assert_seen(&gone, &events);
    assert_eq!(app.count("failed").await, 0);
    app.finish([worker]).await;
}

#[tokio::test]
async fn what_waits_for_its_next_attempt_goes_on_waiting_when_its_endpoint_is_enabled_again() {
    let app = TestApp::start().await;
    app.sql(
        "insert into postrider.schedules (name, waits, jitter) values ('rare', '{2 hours}', 0)",
    )
    .await;
    let shop = app
        .endpoint("shop")
        .failing(500)
        .schedule("rare")
        .create()
        .await;
    let state = |state: &str| {
        format!(
            "select postrider.set_endpoint_state({}, '{state}')",
            shop.id
        )
    };
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    until("it has failed once", PATIENCE, async || {
        app.row().await.attempts == 1
    })
    .await;
    app.sql(&state("paused")).await;
    let held = app.emit_many(3).await;
    until("they are set aside", PATIENCE, async || {
        app.rows()
            .await
            .iter()
            .all(|row| row.due_in_s > 60.0 && !row.leased)
    })
    .await;
    shop.receiver.answer(Answer::ok());
    app.sql(&state("enabled")).await;
    app.counted("delivered", 3).await;
    app.assert_seen(&shop, &held);
    let rows = app.rows().await;
    let waits = rows.iter().find(|row| row.status == "pending").unwrap();
    assert_eq!(waits.attempts, 1);
    assert!(waits.due_in_s > 3600.0, "due in {} s", waits.due_in_s);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_disabled_endpoint_gets_no_new_rows_and_its_pending_ones_wait() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let waiting = app.emit_many(3).await;
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'disabled')",
        endpoint.id
    ))
    .await;
    app.emit_many(5).await;
    let worker = app.worker().start().await;
    until("they are set aside", PATIENCE, async || {
        app.rows()
            .await
            .iter()
            .all(|row| row.due_in_s > 60.0 && !row.leased)
    })
    .await;
    assert_eq!((app.rows().await.len(), endpoint.receiver.count()), (3, 0));
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'enabled')",
        endpoint.id
    ))
    .await;
    app.drained().await;
    assert_eq!(app.assert_seen(&endpoint, &waiting), 0);
    assert_eq!(endpoint.receiver.count(), 3);
    app.finish([worker]).await;
}

#[tokio::test]
async fn an_endpoint_never_has_more_in_flight_than_its_limit() {
    let app = TestApp::start().await;
    let slow = Answer::ok().after(Duration::from_millis(20));
    let own = app
        .endpoint("own")
        .answering(slow.clone())
        .max_in_flight(3)
        .create()
        .await;
    let default = app.endpoint("default").answering(slow).create().await;
    let worker = app
        .worker()
        .set("worker.in_flight_per_endpoint_max", 7)
        .start()
        .await;
    app.emit_many(150).await;
    app.drained().await;
    assert_eq!(own.receiver.concurrency_max(), 3);
    assert_eq!(default.receiver.concurrency_max(), 7);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_breaker_opens_probes_and_closes_and_what_it_holds_back_loses_no_attempts() {
    let app = TestApp::start().await;
    app.sql("insert into postrider.schedules (name, waits, jitter, max_attempts) values ('patient', '{10 ms}', 0, 1000)").await;
    let endpoint = app
        .endpoint("shop")
        .failing(503)
        .schedule("patient")
        .create()
        .await;
    let worker = app
        .worker()
        .set("worker.breaker.failures_consecutive", 5)
        .set("worker.breaker.probe_s", 0.4)
        .set("worker.breaker.probe_max_s", 0.8)
        .start()
        .await;
    let events = app.emit_many(100).await;
    until("the breaker is open", PATIENCE, async || {
        worker.metric("postrider_breaker_endpoints{state=\"open\"}") > 0.0
    })
    .await;
    let before = endpoint.receiver.count();
    endpoint.receiver.wait_for(before + 3).await;
    // In flight when it opened: at most the limit; after that, probes, one at a time.
    assert!(before <= 20, "{before} requests before it was open");
    let spent: i64 = app
        .value("select sum(attempts)::bigint from postrider.webhook_queue")
        .await;
    let asked = i64::try_from(endpoint.receiver.count()).unwrap();
    assert!(spent <= asked, "{spent} attempts spent by {asked} requests");
    endpoint.receiver.answer(Answer::ok());
    app.drained().await;
    app.assert_seen(&endpoint, &events);
    assert_eq!(app.count("failed").await, 0);
    assert!(worker.metric("postrider_lease_returns_total{reason=\"breaker\"}") > 0.0);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_corrected_endpoint_does_not_wait_for_the_probe_of_its_breaker() {
    let app = TestApp::start().await;
    app.sql("insert into postrider.schedules (name, waits, jitter, max_attempts) values ('patient', '{10 ms}', 0, 1000)").await;
    let broken = app
        .endpoint("shop")
        .failing(503)
        .schedule("patient")
        .create()
        .await;
    let whole = app.endpoint("elsewhere").events(&["none"]).create().await;
    let worker = app
        .worker()
        .set("worker.breaker.probe_s", 600)
        .start()
        .await;
    let events = app.emit_many(50).await;
    until("the breaker is open", PATIENCE, async || {
        worker.metric("postrider_breaker_endpoints{state=\"open\"}") > 0.0
    })
    .await;
    app.sql(&format!(
        "select postrider.set_endpoint('shop', '{}', 'shop')",
        whole.receiver.url()
    ))
    .await;
    app.drained().await;
    app.assert_seen(&whole, &events);
    drop(broken);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_backlog_of_large_payloads_is_delivered_within_bounded_memory() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    app.sql("select postrider.emit_rows(array_agg('shop'::text), array_agg('photo.taken'::text), array_agg(json_build_object('media', repeat('x', 2000000)))) from generate_series(1, 100)").await;
    let worker = app.worker().spawn();
    app.drained().await;
    assert_eq!(endpoint.receiver.count(), 100);
    let peak = worker.peak_memory_mib();
    println!("200 MB delivered with {peak} MiB at most");
    assert!(peak < 200, "{peak} MiB for a backlog of 200 MB");
    worker.kill();
}

#[tokio::test]
async fn an_endpoint_that_wants_it_gets_the_event_type_in_its_url() {
    let app = TestApp::start().await;
    let plain = app.endpoint("plain").by_events().create().await;
    let url = format!("{}hooks/?key=1", plain.receiver.url());
    app.sql(&format!(
        "select postrider.set_endpoint('shop', '{url}', 'plain')"
    ))
    .await;
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    app.drained().await;
    assert_eq!(plain.receiver.requests()[0].path, "/hooks/order.paid?key=1");
    assert!(app.row().await.url.ends_with("/hooks/order.paid?key=1"));
    app.finish([worker]).await;
}

#[tokio::test]
async fn base64_media_goes_only_to_those_who_want_it_and_the_rest_is_kept_byte_for_byte() {
    let app = TestApp::start().await;
    let with = app.endpoint("with").media_base64(true).create().await;
    let without = app.endpoint("without").media_base64(false).create().await;
    let worker = app.worker().start().await;
    let media = r#"{ "message": {"media":{"base64":"QUJD","mime":"a/b"}},  "n":1.0 }"#;
    let plain = r#"{ "b":1.0 ,"a":"\u00e9", "a":2 }"#;
    app.emit("message.exchange", media).await;
    app.emit("message.exchange", plain).await;
    app.drained().await;
    let bodies = |receiver: &crate::support::receiver::Receiver| {
        let mut bodies: Vec<String> = receiver
            .requests()
            .iter()
            .map(|request| String::from_utf8(request.body.to_vec()).unwrap())
            .collect();
        bodies.sort_by_key(|body| !body.contains("mime"));
        bodies
    };
    let (with, without) = (bodies(&with.receiver), bodies(&without.receiver));
    assert!(
        with[0].ends_with(&format!("\"data\":{media}}}")),
        "{}",
        with[0]
    );
    assert!(
        without[0].contains("\"mime\"") && !without[0].contains("QUJD"),
        "{}",
        without[0]
    );
    for body in [&with[1], &without[1]] {
        assert!(body.ends_with(&format!("\"data\":{plain}}}")), "{body}");
    }
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_row_without_an_endpoint_is_posted_as_it_stands_with_its_own_authorization() {
    let app = TestApp::start().await;
    let nobody = app.endpoint("nobody").events(&["none"]).create().await;
    let worker = app.worker().start().await;
    let url = format!("{}direct?x=1", nobody.receiver.url());
    let id = app.insert_direct(&url, "not even JSON").await;
    app.drained().await;
    app.sql(&format!(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, auth_header) values ('anybody', '{url}', 'x', 'direct', 'Bearer t0k')"
    ))
    .await;
    app.drained().await;
    let requests = nobody.receiver.requests();
    assert_eq!(
        (requests[0].path.as_str(), &requests[0].body[..]),
        ("/direct?x=1", &b"not even JSON"[..])
    );
    assert_eq!(requests[0].header("webhook-id"), format!("row-{id}"));
    assert_eq!(requests[0].header("authorization"), "");
    assert_eq!(requests[1].header("authorization"), "Bearer t0k");
    app.finish([worker]).await;
}

#[tokio::test]
async fn what_cannot_be_decrypted_is_not_sent_and_disturbs_nobody() {
    let app = TestApp::start().await;
    let key = "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=";
    let locked = app
        .endpoint("locked")
        .authorization("Bearer t0k")
        .create()
        .await;
    let open = app.endpoint("open").create().await;
    let sealing = app
        .worker()
        .set("encryption.key", format!("'{key}'"))
        .start()
        .await;
    until("the secret is sealed", PATIENCE, async || {
        app.value::<bool>("select authorization_header like 'sealed:%' from postrider.endpoints where label = 'locked'").await
    })
    .await;
    sealing.stop().await;
    let worker = app.worker().start().await;
    let events = app.emit_many(5).await;
    app.counted("delivered", 5).await;
    app.assert_seen(&open, &events);
    until("they say why", PATIENCE, async || {
        app.value::<i64>("select count(*) from postrider.webhook_queue where status = 'pending' and attempts = 0 and last_error like '%ENCRYPTION_KEY%'").await == 5
    })
    .await;
    assert_eq!(locked.receiver.count(), 0);
    worker.stop().await;
    let worker = app
        .worker()
        .set("encryption.key", format!("'{key}'"))
        .start()
        .await;
    app.sql("update postrider.webhook_queue set next_retry_at = now() where status = 'pending'")
        .await;
    app.drained().await;
    app.assert_seen(&locked, &events);
    assert!(
        locked
            .receiver
            .requests()
            .iter()
            .all(|request| request.header("authorization") == "Bearer t0k")
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn secrets_given_in_sql_are_sealed_within_seconds_wherever_they_are() {
    let app = TestApp::start().await;
    let key = "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let endpoint = app
        .endpoint("shop")
        .authorization("Bearer t0k")
        .secret(secret)
        .create()
        .await;
    app.sql(&format!(
        "update postrider.endpoints set headers = '{{\"x-team\": \"billing\"}}' where id = {}",
        endpoint.id
    ))
    .await;
    let worker = app
        .worker()
        .set("encryption.key", format!("'{key}'"))
        .start()
        .await;
    let url = endpoint.receiver.url();
    app.sql(&format!("insert into postrider.webhook_queue (instance_name, url, payload, event_type, auth_header, next_retry_at) values ('shop', '{url}', 'x', 'direct', 'Bearer own', now() + interval '1 hour')")).await;
    until("all are sealed", Duration::from_secs(5), async || {
        app.value::<bool>(
            "select not exists (
               select from (select token from postrider.instances union all select authorization_header from postrider.endpoints
                            union all select headers from postrider.endpoints union all select secret from postrider.signing_secrets
                            union all select auth_header from postrider.webhook_queue) as all_secrets (secret)
               where secret not like 'sealed:v1:%')",
        )
        .await
    })
    .await;
    app.emit("order.paid", "{}").await;
    app.sql("update postrider.webhook_queue set next_retry_at = now()")
        .await;
    app.drained().await;
    let requests = endpoint.receiver.wait_for(2).await;
    let signed = requests
        .iter()
        .find(|request| !request.header("webhook-signature").is_empty())
        .unwrap();
    assert!(signed.is_signed_by(secret));
    assert_eq!(
        (signed.header("authorization"), signed.header("x-team")),
        ("Bearer t0k", "billing")
    );
    assert!(
        requests
            .iter()
            .any(|request| request.header("authorization") == "Bearer own")
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn an_endpoint_whose_url_cannot_be_parsed_waits_for_its_correction_and_disturbs_nobody() {
    let app = TestApp::start().await;
    let broken = app.endpoint("broken").create().await;
    let healthy = app.endpoint("healthy").create().await;
    // The table's own check is no URL parser.
    app.sql("update postrider.endpoints set url = 'http://[' where label = 'broken'")
        .await;
    let worker = app.worker().start().await;
    let events = app.emit_many(5).await;
    app.counted("delivered", 5).await;
    app.assert_seen(&healthy, &events);
    until("they say why", PATIENCE, async || {
        app.value::<i64>("select count(*) from postrider.webhook_queue where status = 'pending' and attempts = 0 and last_error is not null").await == 5
    })
    .await;
    app.sql(&format!(
        "select postrider.set_endpoint('shop', '{}', 'broken')",
        broken.receiver.url()
    ))
    .await;
    app.sql("update postrider.webhook_queue set next_retry_at = now() where status = 'pending'")
        .await;
    app.drained().await;
    app.assert_seen(&broken, &events);
    app.finish([worker]).await;
}

#[tokio::test]
async fn an_attempt_may_take_longer_than_the_lease_is_when_it_is_claimed() {
    let app = TestApp::start().await;
    let slow = Answer::ok().after(Duration::from_secs(10));
    let endpoint = app
        .endpoint("slow")
        .answering(slow)
        .timeout_ms(60_000)
        .create()
        .await;
    let worker = app
        .worker()
        .set("worker.timeout_ms", 500)
        .set("worker.lease_s", 5)
        .start()
        .await;
    let events = app.emit_many(5).await;
    app.drained().await;
    assert_eq!(
        app.assert_seen(&endpoint, &events),
        0,
        "its lease was not kept"
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn what_is_set_aside_while_its_endpoint_is_enabled_is_released_too() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await.id;
    let database = Database::open(app.options(), Purpose::Worker, 2);
    // Paused for an hour, and enabled between the two statements by which a worker sets rows aside.
    app.sql(&format!(
        "insert into postrider.endpoint_health (endpoint_id, held_since) values ({endpoint}, now() - interval '1 hour')"
    ))
    .await;
    database.mark_held(&[endpoint]).await.unwrap();
    assert!(!database.release_held().await.unwrap());
    app.emit("order.paid", "{}").await;
    app.sql(&format!(
        "update postrider.webhook_queue set next_retry_at = postrider.set_aside_until({endpoint}, 3600)"
    ))
    .await;
    database.release_held().await.unwrap();
    let due: bool = app
        .value("select next_retry_at <= now() from postrider.webhook_queue")
        .await;
    assert!(due);
}

#[tokio::test]
async fn an_attempt_that_fails_while_its_endpoint_is_deleted_is_no_error() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await.id;
    let database = Database::open(app.options(), Purpose::Worker, 2);
    let mut deleting = app.pool().begin().await.unwrap();
    sqlx::query("select postrider.delete_endpoint($1)")
        .bind(endpoint)
        .execute(&mut *deleting)
        .await
        .unwrap();
    // Neither beside the deletion, which it does not wait for, nor after it.
    let noted = database.endpoint_failed(endpoint, "503", None).await;
    assert!(!noted.unwrap());
    let (marked, committed) = tokio::join!(
        database.mark_held(std::slice::from_ref(&endpoint)),
        async {
            let waiting = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())";
            until("the mark waits for the deletion", PATIENCE, async || {
                app.value(waiting).await
            })
            .await;
            deleting.commit().await
        }
    );
    committed.unwrap();
    marked.unwrap();
    assert!(
        !database
            .endpoint_failed(endpoint, "503", None)
            .await
            .unwrap()
    );
    let noted: i64 = app
        .value("select count(*) from postrider.endpoint_health")
        .await;
    assert_eq!(noted, 0);
}
