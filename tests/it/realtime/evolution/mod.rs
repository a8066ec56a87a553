//! The sockets of Evolution API: Socket.IO with its own client from npm, and the bare one with a raw client.

mod bare;
mod everything;
mod handshakes;
mod resuming;
mod slow;
mod socketio;

use serde_json::Value;

use super::sidecar::{Sidecar, sidecar_with};
use crate::support::app::TestApp;

/// The sidecar in global mode.
async fn global(app: &TestApp) -> Sidecar {
    sidecar_with(app, "\n[evolution]\nwebsocket_global_events = true\n").await
}

/// The key of an instance.
async fn key(app: &TestApp, instance: &str) -> String {
    let found = "select token from postrider.instances where name = ";
    app.value(&format!("{found}'{instance}'")).await
}

/// `POST /websocket/set/:instance`, as it is kept.
async fn configure(app: &TestApp, instance: &str, events: &str) {
    app.sql(&format!(
        "select postrider.set_endpoint('{instance}', '', dialect => 'evolution', channel => 'websocket', events => '{{{events}}}')"
    ))
    .await;
}

/// Emits an event with a number.
async fn emit(app: &TestApp, instance: &str, event_type: &str, number: i64) {
    app.sql(&format!(
        "select postrider.emit('{instance}', '{event_type}', '{{\"n\":{number}}}')"
    ))
    .await;
}

/// What stands in an envelope: the event, the instance and the number.
fn outline(envelope: &Value) -> (String, String, i64) {
    let text = |field: &str| envelope[field].as_str().unwrap_or_default().to_owned();
    let number = envelope["data"]["n"].as_i64().unwrap_or(-1);
    (text("event"), text("instance"), number)
}

/// The same, as it should be.
fn outlined(event: &str, instance: &str, number: i64) -> (String, String, i64) {
    (event.to_owned(), instance.to_owned(), number)
}
