//! Our own protocol on a WebSocket.
//!
//! The server sends events (they have an `id`) and, now and then, control messages (they have a `control`):
//!
//! ```json
//! {"id": "evt_…", "type": "order.paid", "instance": "shop", "timestamp": "…", "data": {…}, "cursor": "…"}
//! {"control": "position", "recovered": true, "cursor": "…"}
//! {"control": "position", "recovered": false, "reason": "removed", "earliest": "…", "cursor": "…"}
//! {"control": "filter", "events": ["order.paid"]}
//! {"control": "error", "message": "…"}
//! ```
//!
//! The client may send:
//!
//! ```json
//! {"command": "filter", "events": ["order.paid"]}
//! {"command": "ack", "cursor": "…"}
//! ```

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

use super::connection::Connection;
use super::filter::Filter;
use super::sidecar::{Beginning, Sidecar};
use super::wire::frame::{TEXT, frame};
use crate::db::consumers::Consumer;
use crate::db::tail::{Cursor, Gap, earliest};

/// Types a filter may name.
pub(super) const TYPES_MAX: usize = 200;

/// What a client sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
enum Command {
    /// Other events from now on.
    Filter {
        /// Their types; none means all.
        events: Vec<String>,
    },
    /// Everything up to this cursor has been dealt with.
    Ack {
        /// Of the last event.
        cursor: String,
    },
}

/// Where a connection begins, as a control message.
pub(super) fn position(beginning: &Beginning) -> String {
    let cursor = beginning.position.to_string();
    match &beginning.gap {
        None => json!({"control": "position", "recovered": true, "cursor": cursor}),
        Some((gap, earliest)) => json!({
            "control": "position",
            "recovered": false,
            "reason": gap.as_str(),
            "earliest": earliest.to_string(),
            "cursor": cursor,
        }),
    }
    .to_string()
}

/// Events were removed before they were sent: from where a reader can go on, as a control message.
pub(super) fn gap(present: Cursor) -> String {
    position(&Beginning {
        replay: None,
        gap: Some((Gap::Removed, earliest(&present))),
        position: present,
    })
}

/// Where an idle client is, as a control message.
pub(super) fn idle(cursor: &Cursor) -> String {
    format!(r#"{{"control":"position","recovered":true,"cursor":"{cursor}"}}"#)
}

/// Does what a client says. The answer, if there is one.
pub(super) fn obey(
    sidecar: &Sidecar,
    connection: &Connection,
    consumer: Option<&Consumer>,
    text: &str,
) -> Option<Bytes> {
    let answer = match serde_json::from_str(text) {
        Ok(Command::Filter { events }) if events.len() <= TYPES_MAX => {
            let filter = Filter::new(connection.flavor.dialect(), events);
            let answer = json!({"control": "filter", "events": filter.types()});
            connection.set_filter(Arc::new(filter));
            answer
        }
        Ok(Command::Filter { .. }) => error(&format!("a filter names at most {TYPES_MAX} types")),
        Ok(Command::Ack { cursor }) => match (consumer, cursor.parse::<Cursor>()) {
            (None, _) => error("there is nothing to acknowledge: connect with ?consumer=<name>"),
            (_, Err(_)) => error(
                "this is no cursor: acknowledge the cursor of the last event you have dealt with",
            ),
            (Some(consumer), Ok(_)) => {
                sidecar.acks.acknowledge(consumer, connection.id, cursor);
                return None;
            }
        },
        Err(wrong) => error(&format!(
            "not understood: {wrong}; send {{\"command\":\"filter\",\"events\":[…]}} or {{\"command\":\"ack\",\"cursor\":\"…\"}}"
        )),
    };
    Some(frame(TEXT, answer.to_string().as_bytes()))
}

/// An error, as a control message.
fn error(message: &str) -> serde_json::Value {
    json!({"control": "error", "message": message})
}
