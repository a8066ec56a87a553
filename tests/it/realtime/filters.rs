//! What a stream is asked for, and asked for while it is open.

use serde_json::json;

use super::STREAM;
use super::raw::Request;
use super::sidecar::sidecar;
use crate::support::app::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_holds_from_the_beginning_and_changes_while_open() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let path = format!("{STREAM}?events=order.paid,%20order.sent");
    let mut client = Request::to(&path).socket(&sidecar).await;
    client.settled_after_position().await;
    for name in ["order.lost", "order.paid", "order.sent"] {
        app.emit(name, "{}").await;
    }
    assert_eq!(client.event().await["type"], "order.paid");
    assert_eq!(client.event().await["type"], "order.sent");
    client
        .say(&json!({"command": "filter", "events": ["order.lost"]}))
        .await;
    let answer = client.message().await;
    assert_eq!(
        answer,
        json!({"control": "filter", "events": ["order.lost"]})
    );
    for name in ["order.paid", "order.lost"] {
        app.emit(name, "{}").await;
    }
    assert_eq!(client.event().await["type"], "order.lost");
    // None named is all, but for what Postrider tells of itself.
    client
        .say(&json!({"command": "filter", "events": []}))
        .await;
    assert_eq!(client.message().await["events"], json!([]));
    for name in ["postrider.endpoint.failing", "order.new"] {
        app.emit(name, "{}").await;
    }
    assert_eq!(client.event().await["type"], "order.new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_holds_for_what_was_missed_as_well() {
    let app = TestApp::start().await;
    for name in ["order.lost", "order.paid"] {
        app.emit(name, "{}").await;
    }
    let sidecar = sidecar(&app).await;
    let path = format!("{STREAM}?from=earliest&events=order.paid");
    let mut client = Request::to(&path).socket(&sidecar).await;
    assert_eq!(client.event().await["type"], "order.paid");
    let (mut client, _) = Request::to(&path).get(sidecar.address).await;
    client.sse().await;
    assert_eq!(client.sse().await.json()["type"], "order.paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_answered_and_nothing_changes() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let path = format!("{STREAM}?events=order.paid");
    let mut client = Request::to(path).socket(&sidecar).await;
    client.message().await;
    let many: Vec<String> = (0..201).map(|number| format!("t{number}")).collect();
    for message in [
        json!({"command": "filter", "events": many}),
        json!({"command": "filter"}),
        json!({"command": "filter", "events": "order.sent"}),
        json!({"command": "filter", "events": [], "more": 1}),
        json!({"command": "shout"}),
        json!([]),
        json!("hello"),
    ] {
        client.say(&message).await;
        assert_eq!(client.message().await["control"], "error", "{message}");
    }
    for name in ["order.sent", "order.paid"] {
        app.emit(name, "{}").await;
    }
    assert_eq!(client.event().await["type"], "order.paid");
    let path = format!("{STREAM}?events={}", many.join(","));
    let (_, head) = Request::to(path).upgrade(sidecar.address).await;
    assert_eq!(head.status, 400);
}
