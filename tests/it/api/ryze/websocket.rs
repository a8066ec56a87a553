//! The WebSocket's configuration.

use serde_json::json;

use super::{INSTANCE, Ryze, failed};

#[tokio::test]
async fn never_configured_is_told_from_disabled() {
    let ryze = Ryze::start().await;
    let read = format!("/api/events/getWebsocket/{INSTANCE}");
    let set = format!("/api/events/websocket/{INSTANCE}");
    failed(
        &ryze.get(&read).await,
        404,
        "WebSocket not configured for this instance",
    );
    let body = json!({ "enabled": true, "events": ["call.update"], "mediaBase64": true });
    let answer = ryze.post(&set, &body).await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({ "success": true, "message": "WebSocket configured successfully", "websocket": body })
        )
    );
    let answer = ryze.get(&read).await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({ "success": true, "message": "WebSocket configuration retrieved", "websocket": body })
        )
    );
    let off = json!({ "enabled": false, "events": ["call.update"], "mediaBase64": true });
    let cleared = json!({ "enabled": false, "events": [], "mediaBase64": false });
    assert_eq!(ryze.post(&set, &off).await.json()["websocket"], cleared);
    assert_eq!(ryze.get(&read).await.json()["websocket"], cleared);
}

#[tokio::test]
async fn there_is_one_for_an_instance_and_naming_no_event_means_all() {
    let ryze = Ryze::start().await;
    let set = format!("/api/events/websocket/{INSTANCE}");
    for body in [
        json!({ "enabled": true }),
        json!({ "enabled": true, "events": [] }),
    ] {
        let websocket = ryze.post(&set, &body).await.json()["websocket"].clone();
        assert_eq!(websocket["events"].as_array().unwrap().len(), 6);
        assert_eq!(websocket["mediaBase64"], false);
    }
    let rows: i64 = ryze
        .app
        .value("select count(*) from postrider.endpoints where channel = 'websocket'")
        .await;
    assert_eq!(rows, 1);
    // No webhook comes of it, nor rows in the queue.
    assert_eq!(ryze.webhooks().await, json!([]));
    ryze.app
        .sql("select postrider.emit('my-instance', 'message.exchange', '{}')")
        .await;
    assert_eq!(ryze.app.rows().await.len(), 0);
}
