//! One event reaches every dialect's endpoints, each under the name and in the envelope of its dialect.

use serde_json::json;

use crate::support::app::TestApp;

/// Everything an endpoint was sent, as the name of the event in its dialect's envelope.
fn names(endpoint: &crate::support::endpoint::Endpoint, key: &str) -> Vec<String> {
    let mut names: Vec<_> = endpoint
        .receiver
        .requests()
        .iter()
        .map(|request| request.json()[key].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_event_reaches_every_dialect_under_the_name_it_has_there() {
    let app = TestApp::start().await;
    let native = app
        .endpoint("native")
        .events(&["message.exchange"])
        .create()
        .await;
    let ryze = app
        .endpoint("ryze")
        .dialect("ryze")
        .events(&["message.exchange"])
        .create()
        .await;
    let evolution = app
        .endpoint("evolution")
        .dialect("evolution")
        .events(&["MESSAGES_UPSERT"])
        .create()
        .await;
    let codechat = app
        .endpoint("codechat")
        .dialect("codechat")
        .events(&["messagesUpsert"])
        .create()
        .await;
    let vzaps = app
        .endpoint("vzaps")
        .dialect("vzaps")
        .events(&["Message"])
        .create()
        .await;
    let other = app
        .endpoint("other")
        .dialect("evolution")
        .events(&["CONNECTION_UPDATE"])
        .create()
        .await;
    let worker = app.worker().start().await;
    for event_type in [
        "messages.upsert",
        "message.exchange",
        "Message",
        "order.paid",
    ] {
        app.emit(event_type, r#"{"text":"hi"}"#).await;
    }
    app.drained().await;
    // Our own dialect has no names of its own: what is emitted is what is asked for.
    assert_eq!(names(&native, "type"), ["message.exchange"]);
    assert_eq!(names(&ryze, "event"), ["message.exchange"; 3]);
    assert_eq!(names(&evolution, "event"), ["messages.upsert"; 3]);
    assert_eq!(names(&codechat, "event"), ["messages.upsert"; 3]);
    assert_eq!(names(&vzaps, "type"), ["Message"; 3]);
    assert_eq!(other.receiver.count(), 0);
    for request in ryze.receiver.requests() {
        assert_eq!(request.json()["data"], json!({"text": "hi"}));
    }
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_type_that_no_catalog_knows_passes_through_unchanged() {
    let app = TestApp::start().await;
    let mut endpoints = Vec::new();
    for dialect in ["postrider", "ryze", "evolution", "codechat", "vzaps"] {
        endpoints.push((
            dialect,
            app.endpoint(dialect).dialect(dialect).create().await,
        ));
    }
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    app.drained().await;
    for (dialect, endpoint) in &endpoints {
        let key = if matches!(*dialect, "postrider" | "vzaps") {
            "type"
        } else {
            "event"
        };
        assert_eq!(names(endpoint, key), ["order.paid"], "{dialect}");
    }
    app.finish([worker]).await;
}

#[tokio::test]
async fn by_events_appends_the_dialects_own_form_and_the_row_shows_it() {
    let app = TestApp::start().await;
    let evolution = app
        .endpoint("evolution")
        .dialect("evolution")
        .by_events()
        .create()
        .await;
    let ryze = app
        .endpoint("ryze")
        .dialect("ryze")
        .by_events()
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit("group-participants.update", "{}").await;
    app.drained().await;
    let paths: Vec<_> = [&evolution, &ryze]
        .iter()
        .map(|endpoint| endpoint.receiver.requests()[0].path.clone())
        .collect();
    assert!(
        paths[0].ends_with("/group-participants-update"),
        "{paths:?}"
    );
    assert!(paths[1].ends_with("/group.flow"), "{paths:?}");
    for (row, path) in app.rows().await.iter().zip(&paths) {
        assert!(row.url.ends_with(path.as_str()), "{} {path}", row.url);
    }
    app.finish([worker]).await;
}

#[tokio::test]
async fn an_evolution_delivery_carries_its_envelope_and_a_fresh_token_in_place_of_jwt_key() {
    let app = TestApp::start().await;
    app.sql(
        "update postrider.instances set token = 'instance-token', sender = '5511@s.whatsapp.net'",
    )
    .await;
    let endpoint = app.endpoint("default").dialect("evolution").create().await;
    app.sql("update postrider.endpoints set headers = '{\"jwt_key\":\"k3y\",\"X-Instance\":\"production-bot\"}'")
        .await;
    let worker = app.worker().start().await;
    app.emit("messages.upsert", r#"{"key":{"id":"3EB0"}}"#)
        .await;
    app.drained().await;
    let request = &endpoint.receiver.requests()[0];
    let body = request.json();
    let date_time = body["date_time"].clone();
    assert_eq!(
        body,
        json!({
            "event": "messages.upsert", "instance": "shop", "data": {"key": {"id": "3EB0"}},
            "destination": endpoint.receiver.url(), "date_time": date_time,
            "sender": "5511@s.whatsapp.net", "server_url": "http://127.0.0.1", "apikey": "instance-token"
        })
    );
    assert_eq!(request.header("x-instance"), "production-bot");
    assert!(!request.headers.contains_key("jwt_key"));
    let token = request
        .header("authorization")
        .strip_prefix("Bearer ")
        .unwrap();
    let claims = postrider::crypto::jwt::open(token, b"k3y").expect("signed with the key");
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let issued = claims["iat"].as_i64().unwrap();
    assert_eq!(
        claims,
        json!({"iat": issued, "exp": issued + 600, "app": "evolution", "action": "webhook"})
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_codechat_delivery_carries_its_three_headers() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("default").dialect("codechat").create().await;
    let worker = app.worker().start().await;
    app.emit("messages.upsert", "{}").await;
    app.drained().await;
    let uid: String = app.value("select uid::text from postrider.instances").await;
    let request = &endpoint.receiver.requests()[0];
    for name in ["x-businessId", "x-instanceId", "x-whatsappId"] {
        assert_eq!(request.header(name), uid);
    }
    assert_eq!(request.json()["instance"]["instanceId"], uid.as_str());
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_sender_given_with_an_event_is_told_instead_of_the_instances() {
    let app = TestApp::start().await;
    app.sql("update postrider.instances set sender = 'own@s.whatsapp.net'")
        .await;
    let endpoint = app.endpoint("default").dialect("evolution").create().await;
    app.sql("select postrider.emit('shop', 'a', '{}', sender => 'first@x')")
        .await;
    app.sql("select postrider.emit('shop', 'b', '{}'::jsonb, sender => 'second@x', idempotency_key => 'k')")
        .await;
    app.sql(
        "select postrider.emit('shop', 'b', '{}', sender => 'third@x', idempotency_key => 'k')",
    )
    .await;
    app.sql("select postrider.emit('shop', 'c', '{}', 'key')")
        .await;
    app.sql(r#"select postrider.emit_many('[{"instance":"shop","type":"d","data":{},"sender":"fourth@x"}, {"instance":"shop","type":"e","data":{}}]')"#)
        .await;
    let refused = app
        .try_sql("select postrider.emit('shop', 'f', '{}', sender => repeat('x', 300))")
        .await;
    assert!(refused.is_err());
    let worker = app.worker().start().await;
    app.drained().await;
    let mut told: Vec<_> = endpoint
        .receiver
        .requests()
        .iter()
        .map(|request| {
            let body = request.json();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            format!("{} {}", text("event"), text("sender"))
        })
        .collect();
    told.sort();
    let own = "own@s.whatsapp.net";
    let expected = [
        "a first@x",
        "b second@x",
        &format!("c {own}"),
        "d fourth@x",
        &format!("e {own}"),
    ];
    assert_eq!(told, expected);
    app.finish([worker]).await;
}
