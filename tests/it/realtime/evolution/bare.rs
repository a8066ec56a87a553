//! The WebSocket at `/`, with a raw client.

use serde_json::{Value, json};

use super::super::raw::{Client, Request};
use super::super::sidecar::{Sidecar, sidecar};
use super::{configure, emit, global, key, outline, outlined};
use crate::support::api::ACCOUNT;
use crate::support::app::{INSTANCE, TestApp};

/// Asks for a socket with these headers; the status, and the body of a refusal.
async fn connect(sidecar: &Sidecar, query: &str, headers: &[(&str, &str)]) -> (Client, u16, Value) {
    let request = headers.iter().fold(
        Request::to(format!("/{query}")).nobody(),
        |request, (name, value)| request.header(name, value),
    );
    let (mut client, head) = request.upgrade(sidecar.address).await;
    let body = client.body(&head).await;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (client, head.status, body)
}

/// One that is connected.
async fn connected(sidecar: &Sidecar, query: &str, headers: &[(&str, &str)]) -> Client {
    let (client, status, body) = connect(sidecar, query, headers).await;
    assert_eq!(status, 101, "{body}");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_socket_hears_its_instance_as_configured_whatever_it_says() {
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "MESSAGES_UPSERT").await;
    let sidecar = sidecar(&app).await;
    let key = key(&app, INSTANCE).await;
    let bearer = format!("Bearer {key}");
    let (in_token, in_apikey) = (format!("?token={key}"), format!("?apikey={key}"));
    let forms: [(&str, &[(&str, &str)]); 5] = [
        (&in_token, &[]),
        (&in_apikey, &[]),
        ("", &[("apikey", &key)]),
        ("", &[("authorization", &bearer)]),
        ("?instance=shop", &[("apikey", ACCOUNT)]),
    ];
    for (query, headers) in forms {
        let mut client = connected(&sidecar, query, headers).await;
        for said in [
            r#"{"event":"subscribe","data":{"instance":"shop"}}"#,
            r#"["sendNode",{}]"#,
            "nonsense",
        ] {
            client.send(1, said.as_bytes()).await;
        }
        emit(&app, INSTANCE, "call", 1).await;
        emit(&app, INSTANCE, "message.exchange", 2).await;
        let message = client.message().await;
        assert_eq!(outline(&message), outlined("messages.upsert", "shop", 2));
        assert_eq!(
            (&message["apikey"], message.get("destination")),
            (&json!(key), None)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_socket_is_told_who_sent_an_event_and_else_the_instances_own_number() {
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "").await;
    app.sql("update postrider.instances set sender = '1@s.whatsapp.net' where name = 'shop'")
        .await;
    let sidecar = sidecar(&app).await;
    let query = format!("?token={}", key(&app, INSTANCE).await);
    let mut client = connected(&sidecar, &query, &[]).await;
    app.sql("select postrider.emit('shop', 'call', '{}', sender => '55@s.whatsapp.net')")
        .await;
    app.emit("call", "{}").await;
    for sender in ["55@s.whatsapp.net", "1@s.whatsapp.net"] {
        assert_eq!(client.message().await["sender"], sender);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_global_mode_a_bare_socket_hears_all_that_its_key_reaches() {
    let app = TestApp::start().await;
    app.instance("stall").await;
    let sidecar = global(&app).await;
    let mut all = connected(&sidecar, &format!("?token={ACCOUNT}"), &[]).await;
    let own = key(&app, "stall").await;
    let mut own = connected(&sidecar, &format!("?token={own}"), &[]).await;
    emit(&app, INSTANCE, "call", 1).await;
    assert_eq!(outline(&all.message().await), outlined("call", "shop", 1));
    emit(&app, "stall", "call", 2).await;
    assert_eq!(outline(&all.message().await), outlined("call", "stall", 2));
    assert_eq!(outline(&own.message().await), outlined("call", "stall", 2));
    own.send(8, &1000_u16.to_be_bytes()).await;
    assert_eq!(own.frame().await.0, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_good_key_is_refused_as_the_original_does() {
    let app = TestApp::start().await;
    app.instance("stall").await;
    let sidecar = sidecar(&app).await;
    let own = key(&app, INSTANCE).await;
    let refused = async |query: &str, expected: u16, error: &str, message: Value| {
        let (_, status, body) = connect(&sidecar, query, &[]).await;
        let whole = json!({"status": expected, "error": error, "response": {"message": message}});
        assert_eq!((status, body), (expected, whole), "{query}");
    };
    refused("", 401, "Unauthorized", json!("Unauthorized")).await;
    refused("?token=wrong", 401, "Unauthorized", json!("Unauthorized")).await;
    let elsewhere = format!("?token={own}&instance=stall");
    let missing = json!([r#"The "stall" instance does not exist"#]);
    refused(&elsewhere, 404, "Not Found", missing).await;
    let (_, status, body) = connect(&sidecar, &format!("?token={ACCOUNT}"), &[]).await;
    assert_eq!(status, 400);
    let message = body["response"]["message"][0].as_str().unwrap();
    assert!(message.contains("?instance="), "{message}");
    // A browser that only looks.
    let (mut client, head) = Request::to("/").nobody().get(sidecar.address).await;
    let body: Value = serde_json::from_slice(&client.body(&head).await).unwrap();
    assert_eq!(
        (head.status, &body["response"]["message"]),
        (404, &json!(["Cannot GET /"]))
    );
}
