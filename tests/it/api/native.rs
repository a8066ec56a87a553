//! The native API, route by route: what it is for.

use serde_json::{Value, json};

use crate::support::api::{ACCOUNT, Answered, TestApi};
use crate::support::app::TestApp;
use crate::support::receiver::{Answer, Receiver};
use crate::support::wait::{PATIENCE, until};

/// POST with the account token.
async fn post(api: &TestApi, path: &str, body: Value) -> Answered {
    api.post(path).bearer(ACCOUNT).json(&body).send().await
}

/// GET with the account token.
async fn get(api: &TestApi, path: &str) -> Answered {
    api.get(path).bearer(ACCOUNT).send().await
}

/// PATCH with the account token.
async fn patch(api: &TestApi, path: &str, body: Value) -> Answered {
    let call = api.call(reqwest::Method::PATCH, path);
    call.bearer(ACCOUNT).json(&body).send().await
}

/// DELETE with the account token.
async fn delete(api: &TestApi, path: &str) -> Answered {
    let call = api.call(reqwest::Method::DELETE, path);
    call.bearer(ACCOUNT).send().await
}

#[tokio::test]
async fn an_instance_is_made_read_by_all_its_names_changed_and_deleted() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let made = post(&api, "/v1/instances", json!({"name": "açaí / 1"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    for named in [
        "a%C3%A7a%C3%AD%20%2F%201",
        made["id"].as_str().unwrap(),
        made["vzaps_id"].as_str().unwrap(),
    ] {
        let read = get(&api, &format!("/v1/instances/{named}")).await;
        assert_eq!(
            (read.status, &read.json()["id"]),
            (200, &made["id"]),
            "{named}"
        );
    }
    let path = format!("/v1/instances/{}", made["id"].as_str().unwrap());
    let own = made["token"].as_str().unwrap();
    assert_eq!(api.get(&path).bearer(own).send().await.status, 200);
    assert_eq!(
        api.get("/v1/instances/shop")
            .bearer(own)
            .send()
            .await
            .status,
        404
    );
    let changed = patch(&api, &path, json!({"sender": "55@s"})).await;
    assert_eq!(changed.json()["sender"], "55@s");
    let token = post(&api, &format!("{path}/token"), json!({})).await;
    assert_eq!(
        api.get(&path).bearer(own).send().await.status,
        401,
        "the former one is worth nothing"
    );
    assert_eq!(
        api.get(&path)
            .bearer(token.json()["token"].as_str().unwrap())
            .send()
            .await
            .status,
        200
    );
    assert_eq!(
        post(&api, "/v1/instances", json!({"name": "shop"}))
            .await
            .status,
        409
    );
    assert_eq!(delete(&api, &path).await.status, 204);
    assert_eq!(get(&api, &path).await.status, 404);
}

#[tokio::test]
async fn tokens_are_made_listed_and_good_for_nothing_once_revoked() {
    let app = TestApp::start().await;
    let (api, other) = (app.api().start().await, app.api().start().await);
    let made = post(&api, "/v1/tokens", json!({"label": "deploy"}))
        .await
        .json();
    let one = post(&api, "/v1/tokens", json!({"instance": "shop"}))
        .await
        .json();
    assert_eq!(
        (&made["scope"], &one["scope"]),
        (&json!("account"), &json!("instance"))
    );
    let (made, one) = (
        made["token"].as_str().unwrap(),
        one["token"].as_str().unwrap(),
    );
    let status = async |api: &TestApi, token: &str, path: &str| {
        api.get(path).bearer(token).send().await.status
    };
    assert_eq!(status(&api, made, "/v1/tokens").await, 200);
    assert_eq!(status(&api, one, "/v1/tokens").await, 403);
    assert_eq!(status(&api, one, "/v1/instances/shop").await, 200);
    let kept: String = app
        .value("select string_agg(t::text, '') from postrider.tokens t")
        .await;
    assert!(!kept.contains(made) && !kept.contains(one));

    let listed = get(&api, "/v1/tokens").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(status(&other, made, "/v1/instances").await, 200);
    let path = format!("/v1/tokens/{}", listed["items"][0]["id"].as_str().unwrap());
    assert_eq!(delete(&api, &path).await.status, 204);
    assert_eq!(
        status(&api, made, "/v1/instances").await,
        401,
        "here at once"
    );
    until("it is worth nothing elsewhere", PATIENCE, async || {
        status(&other, made, "/v1/instances").await == 401
    })
    .await;
    assert_eq!(delete(&api, &path).await.status, 404);
}

#[tokio::test]
async fn an_endpoint_of_every_channel_is_kept_and_shown_without_its_secrets() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let bodies = [
        json!({"label": "hook", "url": "https://example.com/in", "authorization": "Bearer hunter2", "headers": {"x-a": "hunter2"}, "sign": true}),
        json!({"label": "ws", "channel": "websocket", "events": ["order.paid"]}),
        json!({"label": "mq", "channel": "rabbitmq", "settings": {"uri": "amqp://u:hunter2@mq/v"}}),
        json!({"label": "sqs", "channel": "sqs", "settings": {"region": "eu", "secret_access_key": "hunter2"}}),
        json!({"label": "pusher", "channel": "pusher", "settings": {"app_id": "1", "key": "k", "secret": "hunter2"}, "enabled": false}),
    ];
    for body in bodies {
        let made = post(&api, "/v1/instances/shop/endpoints", body.clone()).await;
        assert_eq!(made.status, 201, "{made:?}");
        let read = get(&api, &format!("/v1/endpoints/{}", made.json()["id"])).await;
        assert!(!read.text.contains("hunter2"), "{}", read.text);
        assert_eq!(read.json()["label"], body["label"]);
        let again = post(&api, "/v1/instances/shop/endpoints", body).await;
        assert_eq!(
            (again.status, &again.json()["code"]),
            (409, &json!("already_exists"))
        );
    }
    let listed = get(&api, "/v1/endpoints?limit=2").await.json();
    let next = listed["next_cursor"].as_str().unwrap();
    let rest = get(&api, &format!("/v1/endpoints?cursor={next}"))
        .await
        .json();
    assert_eq!(
        listed["items"].as_array().unwrap().len() + rest["items"].as_array().unwrap().len(),
        5
    );
    assert_eq!(rest["next_cursor"], Value::Null);
    assert_eq!(
        get(&api, "/v1/endpoints?channel=pusher").await.json()["items"][0]["state"],
        "disabled"
    );
    // Only the webhook takes rows of the queue, so far.
    app.emit("order.paid", "{}").await;
    assert_eq!(app.rows().await.len(), 1);
}

#[tokio::test]
async fn an_endpoint_is_changed_field_by_field() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let body = json!({"url": "https://example.com/in", "authorization": "Bearer x", "events": ["a"], "timeout_ms": 2000});
    let made = post(&api, "/v1/instances/shop/endpoints", body)
        .await
        .json();
    let path = format!("/v1/endpoints/{}", made["id"]);
    let changed = patch(&api, &path, json!({"events": [], "enabled": false}))
        .await
        .json();
    assert_eq!(
        (&changed["events"], &changed["state"]),
        (&json!([]), &json!("disabled"))
    );
    assert_eq!(
        (&changed["timeout_ms"], &changed["has_authorization"]),
        (&json!(2000), &json!(true))
    );
    let changed = patch(&api, &path, json!({"authorization": null, "enabled": true}))
        .await
        .json();
    assert_eq!(
        (&changed["has_authorization"], &changed["state"]),
        (&json!(false), &json!("enabled"))
    );
    let rotated = post(&api, &format!("{path}/rotate-secret"), json!({}))
        .await
        .json();
    assert!(
        rotated["signing_secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    assert_eq!(get(&api, &path).await.json()["signing_secrets"], 1);
    assert_eq!(delete(&api, &path).await.status, 204);
    assert_eq!(patch(&api, &path, json!({})).await.status, 404);
}

#[tokio::test]
async fn a_published_event_is_delivered_and_seen_with_its_attempts() {
    let app = TestApp::start().await;
    let api = app
        .api()
        .set("egress.allow", "['127.0.0.0/8']")
        .start()
        .await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url(), "schedule": "fast"});
    assert_eq!(
        post(&api, "/v1/instances/shop/endpoints", body)
            .await
            .status,
        201
    );
    let worker = app.worker().start().await;
    let sent = post(
        &api,
        "/v1/instances/shop/events",
        json!({"type": "order.paid", "data": {"n": 1}, "idempotency_key": "k"}),
    )
    .await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let id = sent.json()["id"].as_str().unwrap().to_owned();
    let again = api
        .post("/v1/instances/shop/events")
        .bearer(ACCOUNT)
        .header("idempotency-key", "k");
    let again = again
        .json(&json!({"type": "order.paid", "data": {"n": 2}}))
        .send()
        .await;
    assert_eq!(again.json()["id"], id.as_str());
    app.drained().await;
    let seen = get(&api, &format!("/v1/events/{id}")).await.json();
    assert_eq!(seen["event"]["data"], json!({"n": 1}));
    assert_eq!(seen["deliveries"][0]["status"], "delivered");
    let delivery = get(
        &api,
        &format!("/v1/deliveries/{}", seen["deliveries"][0]["id"]),
    )
    .await
    .json();
    assert_eq!(delivery["attempts"][0]["outcome"], "delivered");
    assert_eq!(delivery["payload"], "{\"n\":1}");
    let tested = post(
        &api,
        &format!("/v1/endpoints/{}/test", delivery["delivery"]["endpoint"]),
        json!({}),
    )
    .await;
    assert_eq!(tested.status, 202);
    app.drained().await;
    assert_eq!(receiver.requests().len(), 2);
    let listed = get(&api, "/v1/instances/shop/events?type=order.paid")
        .await
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        get(&api, "/v1/instances/shop/event-types").await.json()["items"][0]["type"],
        "order.paid"
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_batch_is_published_whole_or_not_at_all() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let events: Vec<Value> = (0..100)
        .map(|n| json!({"type": "order.paid", "data": {"n": n}}))
        .collect();
    let sent = post(
        &api,
        "/v1/instances/shop/events/batch",
        json!({"events": events}),
    )
    .await;
    assert_eq!(
        (sent.status, sent.json()["ids"].as_array().unwrap().len()),
        (202, 100)
    );
    let mut spoilt = events.clone();
    spoilt[7]["type"] = json!("a b");
    let refused = post(
        &api,
        "/v1/instances/shop/events/batch",
        json!({"events": spoilt}),
    )
    .await;
    assert_eq!(
        (refused.status, &refused.json()["field"]),
        (422, &json!("events[7].type"))
    );
    assert_eq!(
        app.value::<i64>("select count(*) from postrider.events")
            .await,
        100
    );
}

#[tokio::test]
async fn everybody_sees_how_much_of_their_own_is_queued() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    app.instance("other").await;
    for (instance, events) in [("shop", 3), ("other", 5)] {
        let path = format!("/v1/instances/{instance}/endpoints");
        let made = post(&api, &path, json!({"url": "https://example.com/"})).await;
        assert_eq!(made.status, 201, "{made:?}");
        app.sql(&format!(
            "select postrider.emit('{instance}', 'a', '{{}}') from generate_series(1, {events})"
        ))
        .await;
    }
    app.sql("update postrider.webhook_queue set status = 'failed' where id in (select max(id) from postrider.webhook_queue group by instance_name)")
        .await;
    let token = post(&api, "/v1/tokens", json!({"instance": "shop"})).await;
    let token = token.json()["token"].as_str().unwrap().to_owned();
    let own = api.get("/v1/queue").bearer(&token).send().await;
    assert_eq!((own.status, &own.json()["complete"]), (200, &json!(true)));
    let figures: Vec<_> = own.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["status"].clone(), line["rows"].clone()))
        .collect();
    assert_eq!(
        figures,
        [(json!("failed"), json!(1)), (json!("pending"), json!(2))]
    );
    assert!(own.json()["items"][1]["oldest_due_at"].is_string());
}

#[tokio::test]
async fn a_page_is_full_however_many_of_others_lie_between() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    app.instance("other").await;
    app.endpoint("shop").create().await;
    app.emit_many(3).await;
    app.sql(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type)
         select 'other', 'https://example.com/', '{}', 'a' from generate_series(1, 60000);
         insert into postrider.events (instance_id, type, data)
         select id, 'a', '{}' from postrider.instances, generate_series(1, 60000) where name = 'other'",
    )
    .await;
    app.emit_many(2).await;
    for path in ["/v1/deliveries?instance=shop", "/v1/instances/shop/events?"] {
        let whole = get(&api, &format!("{path}&limit=100")).await.json();
        assert_eq!(whole["items"].as_array().unwrap().len(), 5, "{path}");
        assert!(whole["next_cursor"].is_null(), "{path}: {whole}");
        let mut ids = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = get(&api, &format!("{path}&limit=2{cursor}")).await.json();
            ids.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["id"].clone()),
            );
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        let all = whole["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].clone());
        assert_eq!(ids, all.collect::<Vec<_>>(), "{path}");
        let later = get(&api, &format!("{path}&since=2100-01-01T00:00:00Z"))
            .await
            .json();
        assert_eq!(
            (&later["items"], &later["next_cursor"]),
            (&json!([]), &Value::Null)
        );
    }
}

#[tokio::test]
async fn deliveries_are_listed_between_two_moments_with_those_of_transactions_that_were_long_open()
{
    let app = TestApp::start().await;
    let api = app.api().start().await;
    // One every ten minutes; every seventh's transaction had begun fifty minutes before.
    app.sql(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, created_at)
         select 'shop', 'https://example.com/', '', 'a', '2026-01-01 00:00+00'::timestamptz
           + interval '10 minutes' * (n - case when n % 7 = 0 then 5 else 0 end) from generate_series(1, 600) n order by n;
         update postrider.instances set created_at = '2025-01-01'",
    )
    .await;
    for (since, until) in [
        ("2026-01-02T00:00:00Z", "2026-01-02T12:00:00Z"),
        ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"),
        ("2025-12-01T00:00:00Z", "2025-12-02T00:00:00Z"),
        ("2026-01-04T18:00:00Z", "9999-12-31T23:59:59Z"),
    ] {
        let path = format!("/v1/deliveries?limit=100&since={since}&until={until}");
        let page = get(&api, &path).await.json();
        let listed: Vec<i64> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_i64().unwrap())
            .collect();
        let expected: Vec<i64> = app
            .value(&format!("select coalesce(array_agg(id order by id desc), '{{}}') from postrider.webhook_queue where created_at >= '{since}' and created_at < '{until}'"))
            .await;
        assert_eq!(listed, expected, "{path}");
        assert!(page["next_cursor"].is_null(), "{path}");
    }
}

#[tokio::test]
async fn a_sender_may_be_given_with_each_event() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let path = "/v1/instances/shop/events";
    let one = json!({"type": "a", "data": {}, "sender": "one@x"});
    assert_eq!(post(&api, path, one).await.status, 202);
    let batch = json!({"events": [
        {"type": "b", "data": {}},
        {"type": "c", "data": {}, "sender": "two@x"},
    ]});
    assert_eq!(
        post(&api, &format!("{path}/batch"), batch).await.status,
        202
    );
    let told: String = app
        .value(
            "select string_agg(event.type || ' ' || said.sender, ', ' order by event.id)
             from postrider.events event join postrider.event_senders said on said.event_id = event.id",
        )
        .await;
    assert_eq!(told, "a one@x, c two@x");
    for sender in [json!("x".repeat(256)), json!("a\nb"), json!(1)] {
        let refused = post(
            &api,
            path,
            json!({"type": "a", "data": {}, "sender": sender}),
        )
        .await;
        assert_eq!(
            (refused.status, &refused.json()["field"]),
            (422, &json!("sender"))
        );
    }
}

#[tokio::test]
async fn an_instances_sender_is_kept_to_what_envelopes_carry_and_taken_away_with_null() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let sender = "5511999999999@s.whatsapp.net";
    let made = post(
        &api,
        "/v1/instances",
        json!({"name": "zap", "sender": sender}),
    )
    .await;
    assert_eq!((made.status, &made.json()["sender"]), (201, &json!(sender)));
    for wrong in ["x".repeat(256), "a\nb".to_owned()] {
        let body = json!({"name": "other", "sender": wrong});
        for refused in [
            post(&api, "/v1/instances", body).await,
            patch(&api, "/v1/instances/zap", json!({"sender": wrong})).await,
        ] {
            assert_eq!(refused.status, 422, "{refused:?}");
            assert_eq!(refused.json()["field"], "sender");
        }
    }
    assert_eq!(get(&api, "/v1/instances/other").await.status, 404);
    let kept = patch(&api, "/v1/instances/zap", json!({})).await;
    assert_eq!((kept.status, &kept.json()["sender"]), (200, &json!(sender)));
    let gone = patch(&api, "/v1/instances/zap", json!({"sender": null})).await;
    assert_eq!(
        (gone.status, &gone.json()["sender"]),
        (200, &json!(Value::Null))
    );
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_refused_and_nothing_is_published() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let send = async |key: &str| {
        let call = api.post("/v1/instances/shop/events").bearer(ACCOUNT);
        let call = call.header("idempotency-key", key);
        call.json(&json!({"type": "order.paid", "data": {}}))
            .send()
            .await
    };
    let refused = send("pedido-nº-7").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.json()["field"], "Idempotency-Key");
    let events = "select count(*) from postrider.events";
    assert_eq!(app.value::<i64>(events).await, 0);
    let first = send("order-7").await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(send("order-7").await.json(), first.json());
    assert_eq!(app.value::<i64>(events).await, 1);
}

#[tokio::test]
async fn dead_letters_are_listed_requeued_by_filter_and_purged() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::status(500))
        .max_attempts(1)
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit_many(8).await;
    app.counted("failed", 8).await;
    let listed = get(&api, "/v1/dead-letters?limit=5").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 5);
    let next = listed["next_cursor"].as_str().unwrap();
    let rest = get(&api, &format!("/v1/dead-letters?limit=5&cursor={next}"))
        .await
        .json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 3);

    let ids: Vec<&Value> = rest["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["id"])
        .collect();
    let purged = post(&api, "/v1/dead-letters/purge", json!({"ids": ids})).await;
    assert_eq!(purged.json(), json!({"purged": 3}));
    endpoint.receiver.answer(Answer::ok());
    assert_eq!(
        post(&api, "/v1/dead-letters/requeue", json!({}))
            .await
            .status,
        422,
        "nothing said is not everything"
    );
    let moved = post(
        &api,
        "/v1/dead-letters/requeue",
        json!({"endpoint": endpoint.id}),
    )
    .await;
    assert_eq!((moved.status, moved.json()), (202, json!({"requeued": 5})));
    app.counted("delivered", 5).await;
    let replayed = post(
        &api,
        &format!("/v1/endpoints/{}/replay", endpoint.id),
        json!({"since": "2020-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(
        (replayed.status, replayed.json()),
        (202, json!({"queued": 8}))
    );
    app.counted("delivered", 13).await;
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_delivery_is_cancelled_and_sent_again() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let _endpoint = app.endpoint("shop").create().await;
    app.emit("order.paid", "{}").await;
    let id = app.row().await.id;
    assert_eq!(
        post(&api, &format!("/v1/deliveries/{id}/resend"), json!({}))
            .await
            .json()["code"],
        "delivery_pending"
    );
    let cancelled = post(&api, &format!("/v1/deliveries/{id}/cancel"), json!({}))
        .await
        .json();
    assert_eq!(
        (&cancelled["status"], &cancelled["last_error"]),
        (&json!("failed"), &json!("cancelled by its owner"))
    );
    assert_eq!(
        post(&api, &format!("/v1/deliveries/{id}/cancel"), json!({}))
            .await
            .status,
        409
    );
    assert_eq!(
        get(&api, "/v1/deliveries?status=failed").await.json()["items"][0]["id"],
        id
    );
    assert_eq!(
        get(&api, "/v1/deliveries?status=pending").await.json()["items"],
        json!([])
    );
    let resent = post(&api, &format!("/v1/deliveries/{id}/resend"), json!({})).await;
    assert_eq!(
        (resent.status, &resent.json()["status"]),
        (202, &json!("pending"))
    );
    let worker = app.worker().start().await;
    app.counted("delivered", 1).await;
    app.finish([worker]).await;
}

#[tokio::test]
async fn accounts_are_made_by_operators_and_kept_to_their_quota() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let made = post(
        &api,
        "/v1/accounts",
        json!({"name": "acme", "instances_max": 1}),
    )
    .await;
    assert_eq!(made.status, 201, "{made:?}");
    let account = made.json()["id"].as_str().unwrap().to_owned();
    let token = post(&api, "/v1/tokens", json!({"account": account}))
        .await
        .json();
    let token = token["token"].as_str().unwrap();
    let theirs =
        async |path: &str, body: Value| api.post(path).bearer(token).json(&body).send().await;
    assert_eq!(
        api.get("/v1/account").bearer(token).send().await.json()["name"],
        "acme"
    );
    assert_eq!(
        api.get("/v1/accounts").bearer(token).send().await.status,
        403
    );
    assert_eq!(
        api.get("/v1/queue").bearer(token).send().await.json(),
        json!({"items": [], "complete": true})
    );
    assert_eq!(
        theirs("/v1/instances", json!({"name": "theirs"}))
            .await
            .status,
        201
    );
    let full = theirs("/v1/instances", json!({"name": "more"})).await;
    assert_eq!(
        (full.status, &full.json()["code"]),
        (403, &json!("instances_exhausted"))
    );
    assert_eq!(
        get(&api, "/v1/instances/theirs").await.status,
        404,
        "operators see no more than others"
    );
    assert_eq!(
        delete(&api, &format!("/v1/accounts/{account}"))
            .await
            .status,
        204
    );
    assert_eq!(
        api.get("/v1/account").bearer(token).send().await.status,
        401
    );
    assert_eq!(
        app.value::<i64>("select count(*) from postrider.instances")
            .await,
        1
    );
}
