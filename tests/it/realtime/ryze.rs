//! `RyzeAPI`'s door.

use serde_json::{Value, json};

use super::emit;
use super::raw::{CLOSE, Client, FIN, Head, Request, TEXT};
use super::sidecar::{sidecar, sidecar_with};
use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;

/// Where it is, for the instance of the tests.
const DOOR: &str = "/ws/shop";
/// The token of the instance.
const TOKEN: &str = "token-of-the-shop";

/// An instance with a token, and its WebSocket configured.
async fn start(arguments: &str) -> TestApp {
    let app = TestApp::start().await;
    app.sql(&format!(
        "select postrider.set_instance_token('shop', '{TOKEN}')"
    ))
    .await;
    configure(&app, arguments).await;
    app
}

/// Configures the WebSocket of the tests' instance.
async fn configure(app: &TestApp, arguments: &str) {
    app.sql(&format!(
        "select postrider.set_endpoint('shop', null, dialect => 'ryze', channel => 'websocket'{arguments})"
    ))
    .await;
}

/// The message of a refusal.
async fn message((mut client, head): (Client, Head)) -> String {
    let body = client.body(&head).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["success"], false);
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_refused_until_it_is_configured_and_again_once_it_is_disabled() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let not_enabled = "WebSocket is not enabled for this instance. Configure it first using POST /api/events/websocket/shop";
    let refused = Request::to(DOOR).upgrade(sidecar.address).await;
    assert_eq!(refused.1.status, 400);
    assert_eq!(message(refused).await, not_enabled);
    let refused = Request::to("/ws/nobody").upgrade(sidecar.address).await;
    assert_eq!(refused.1.status, 404);
    assert_eq!(message(refused).await, "Instance not found");
    let wrong = Request::to(DOOR).token("wrong");
    let refused = wrong.upgrade(sidecar.address).await;
    assert_eq!(refused.1.status, 401);
    assert_eq!(message(refused).await, "Invalid token");
    configure(&app, "").await;
    let refused = Request::to(DOOR).get(sidecar.address).await;
    assert_eq!(refused.1.status, 400);
    assert!(message(refused).await.contains("WebSocket"));
    let mut open = Request::to(DOOR).socket(&sidecar).await;
    open.settled().await;
    configure(&app, ", state => 'disabled'").await;
    let refused = Request::to(DOOR).upgrade(sidecar.address).await;
    assert_eq!(refused.1.status, 400);
    assert_eq!(message(refused).await, not_enabled);
    // Those that are open stay open.
    emit(&app, 1).await;
    assert_eq!(open.numbers(1).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_of_an_instance_gets_the_body_of_a_webhook() {
    let app = start("").await;
    let sidecar = sidecar(&app).await;
    let mut clients = Vec::new();
    for request in [
        Request::to(DOOR).nobody().header("token", TOKEN),
        Request::to(DOOR).token(TOKEN),
        Request::to(format!("{DOOR}?token={TOKEN}")).nobody(),
        // Of the account.
        Request::to(DOOR),
    ] {
        let mut client = request.socket(&sidecar).await;
        client.settled().await;
        clients.push(client);
    }
    app.emit("messages.upsert", r#"{"id":"x","n":1}"#).await;
    for client in &mut clients {
        let expected = json!({
            "event": "message.exchange",
            "data": {"id": "x", "n": 1},
            "instanceData": {
                "baseUrl": format!("http://{}", sidecar.address),
                "instance": "shop",
                "token": TOKEN,
            },
        });
        assert_eq!(client.message().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_media_are_those_of_the_configuration() {
    let app = start(", events => array['message.exchange', 'order.paid']").await;
    let sidecar = sidecar(&app).await;
    let mut lean = Request::to(DOOR).socket(&sidecar).await;
    lean.settled().await;
    configure(
        &app,
        ", media_base64 => true, events => array['message.exchange']",
    )
    .await;
    let mut full = Request::to(DOOR).socket(&sidecar).await;
    full.settled().await;
    for name in ["message.status", "order.paid"] {
        app.emit(name, r#"{"n":1}"#).await;
    }
    let media = r#"{"n":2,"message":{"media":{"base64":"AAAA","mimetype":"image/png"}}}"#;
    app.emit("message.exchange", media).await;
    assert_eq!(lean.message().await["event"], "order.paid");
    let kept = &lean.message().await["data"]["message"]["media"];
    assert_eq!(kept, &json!({"mimetype": "image/png"}));
    let kept = &full.message().await["data"]["message"]["media"];
    assert_eq!(kept, &json!({"base64": "AAAA", "mimetype": "image/png"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_changes_nothing() {
    let app = start("").await;
    let sidecar = sidecar(&app).await;
    let mut client = Request::to(DOOR).socket(&sidecar).await;
    for text in ["hello", r#"{"command":"filter","events":["x"]}"#, "{"] {
        client.send(TEXT, text.as_bytes()).await;
    }
    client.settled().await;
    emit(&app, 1).await;
    let event = client.message().await;
    assert_eq!(event["data"]["n"], 1);
    assert!(event.get("cursor").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_request_each_frame_has_a_cursor_from_which_nothing_is_missed() {
    let app = start("").await;
    let first_process = sidecar(&app).await;
    let path = format!("{DOOR}?resume=1");
    let mut client = Request::to(path).socket(&first_process).await;
    client.settled().await;
    emit(&app, 1).await;
    let cursor = client.message().await["cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    drop(first_process);
    emit(&app, 2).await;
    let second_process = sidecar(&app).await;
    let path = format!("{DOOR}?cursor={cursor}");
    let mut client = Request::to(&path).socket(&second_process).await;
    let second = client.message().await;
    assert_eq!(second["data"]["n"], 2);
    assert!(second["cursor"].is_string());
    // It cannot be told of a gap but by closing.
    app.sql("delete from postrider.events").await;
    let third_process = sidecar(&app).await;
    let mut client = Request::to(&path).socket(&third_process).await;
    assert_eq!(client.closed().await.0, 4410);
    let path = format!("{DOOR}?cursor=nonsense");
    let (_, head) = Request::to(path).upgrade(third_process.address).await;
    assert_eq!(head.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_count_with_all_other_requests_of_the_token() {
    upgrades_count(TOKEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_count_with_all_other_requests_of_a_token_that_stands_in_the_configuration() {
    upgrades_count(ACCOUNT).await;
}

/// Upgrades and requests with this token are counted together.
async fn upgrades_count(token: &str) {
    let app = start("").await;
    let sidecar = sidecar(&app).await;
    let api = app.api().start().await;
    let ask = || Request::to(DOOR).token(token).upgrade(sidecar.address);
    let (_, head) = ask().await;
    assert_eq!(head.status, 101);
    assert_eq!(head.header("x-ratelimit-limit"), Some("100"));
    assert!(head.header("x-ratelimit-reset").is_some());
    // As if the token had come 98 times, in a minute that does not end while this runs.
    app.sql(
        "update postrider.request_counts set requests = 98, minute = minute + interval '5 minutes'",
    )
    .await;
    let read = api.get("/api/events/getWebsocket/shop").bearer(token);
    assert_eq!(read.send().await.status, 200);
    let (_, head) = ask().await;
    assert_eq!(head.status, 101);
    assert_eq!(head.header("x-ratelimit-remaining"), Some("0"));
    let refused = ask().await;
    assert_eq!(refused.1.status, 429);
    assert_eq!(refused.1.header("x-ratelimit-remaining"), Some("0"));
    let told = message(refused).await;
    assert_eq!(told, "Rate limit exceeded. Try again later.");
    // Whoever has no good token is not counted, and is told the limit.
    let stranger = Request::to(DOOR).token("wrong");
    let (_, head) = stranger.upgrade(sidecar.address).await;
    assert_eq!(head.status, 401);
    assert_eq!(head.header("x-ratelimit-remaining"), Some("100"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_dropped_with_a_code_that_says_so() {
    let app = start("").await;
    let sidecar = sidecar_with(&app, "behind_max = 10").await;
    let mut slow = Request::to(DOOR).receiving(4096).socket(&sidecar).await;
    slow.settled().await;
    let of_slow = sidecar.inner.hub.everybody().remove(0);
    let data = format!("{{\"padding\":\"{}\"}}", "x".repeat(200_000));
    while of_slow.ending().is_none() {
        app.emit("order.paid", &data).await;
    }
    loop {
        let (first, payload) = slow.next().await.expect("dropped without a word");
        if first == FIN | CLOSE {
            assert_eq!(payload[..2], 4413_u16.to_be_bytes());
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_no_ping_is_dropped() {
    let app = start("").await;
    let sidecar = sidecar_with(&app, "ping_ms = 400\ndead_ms = 1200").await;
    let mut client = Request::to(DOOR).socket(&sidecar).await;
    let mut pings = 0;
    while let Some((first, _)) = client.next().await {
        pings += usize::from(first != FIN | CLOSE);
    }
    assert!(pings >= 1);
}
