//! The protocol of `VZaps` on a WebSocket.
//!
//! Each frame of the server is one event, and nothing else is ever sent: a client takes any other frame for a broken event.
//!
//! ```json
//! {"id": "evt_…", "type": "Message", "instance_id": "VZ…", "created_at": "…", "data": {"type": "Message", "event": {…}}}
//! ```
//!
//! When its handlers have returned the client says so: `{"type": "ack", "event_id": "evt_…"}`. What it sends besides, and
//! acknowledgements of what it was never sent, mean nothing and harm nothing.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::flavor::{Profile, without_media};
use super::wire::frame::{TEXT, frame};
use crate::db::tail::{Event, Origin};
use crate::dialect::{Dialect, Parts, envelope, timestamp};

/// Clients close when a message is longer than 1 MiB, come back, and would be sent it again for ever.
const MESSAGE_BYTES_MAX: usize = (1 << 20) - 1;

/// What a client says.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
}

/// The two halves of the id of an event that a client acknowledges, if that is what it says.
pub(super) fn acknowledged(text: &str) -> Option<(i64, i32)> {
    let said: Said<'_> = serde_json::from_str(text).ok()?;
    if said.kind != "ack" {
        return None;
    }
    match Origin::of_event_id(&said.event_id)? {
        Origin::Event { id, nonce } => Some((id, nonce)),
        _ => None,
    }
}

/// The finished frame of an event. Where it would be too long, inline media is left out, then everything but where it is.
pub(super) fn event_frame(event: &Event, profile: &Profile) -> Bytes {
    let whole = message(event, profile, &event.data);
    if whole.len() <= MESSAGE_BYTES_MAX {
        return frame(TEXT, &whole);
    }
    if let Some(lean) = without_media(&event.data) {
        let lean = message(event, profile, &lean);
        if lean.len() <= MESSAGE_BYTES_MAX {
            return frame(TEXT, &lean);
        }
    }
    let note = json!({
        "too_long": true,
        "bytes": event.data.len(),
        "url": format!("{}/v1/events/{}", profile.base_url.trim_end_matches('/'), event.public_id()),
    });
    frame(TEXT, &message(event, profile, note.to_string().as_bytes()))
}

/// The event with this data.
fn message(event: &Event, profile: &Profile, data: &[u8]) -> Vec<u8> {
    let id = event.public_id();
    let body = envelope(
        Dialect::Vzaps,
        &Parts {
            event_id: &id,
            event_type: &event.event_type,
            instance: &profile.name,
            identity: &profile.identity,
            instance_token: None,
            sender: event.sender.as_deref(),
            base_url: &profile.base_url,
            destination: "",
            occurred_at: event.occurred_at,
            data,
        },
    );
    let name = json!(Dialect::Vzaps.name(&event.event_type)).to_string();
    let head = format!(
        r#"{{"id":"{id}","type":{name},"instance_id":{},"created_at":"{}","data":"#,
        json!(profile.identity.vzaps_id),
        timestamp(event.occurred_at),
    );
    [head.as_bytes(), &body, b"}"].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use time::OffsetDateTime;

    use super::*;
    use crate::dialect::Identity;

    #[test]
    fn an_acknowledgement_names_an_event_and_anything_else_is_none() {
        let check = |text: &str, expected| assert_eq!(acknowledged(text), expected, "{text}");
        check(r#"{"type": "ack", "event_id": "evt_5_ff"}"#, Some((5, 255)));
        check(
            r#"{"event_id":"evt_5_ff","type":"\u0061ck","more":1}"#,
            Some((5, 255)),
        );
        for text in [
            r#"{"type":"ack","event_id":""}"#,
            r#"{"type":"ack","event_id":null}"#,
            r#"{"type":"ack"}"#,
            r#"{"type":"nack","event_id":"evt_5_ff"}"#,
            r#"{"type":"ack","event_id":"evt_01"}"#,
            "ack",
            "",
            "[]",
        ] {
            check(text, None);
        }
    }

    /// What a client reads of an event with this data.
    fn read(data: String) -> (usize, Value) {
        let event = Event {
            id: 5,
            nonce: 255,
            instance: 1,
            event_type: "message.exchange".into(),
            data: data.into(),
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            xid: 1,
            sender: None,
        };
        let profile = Profile {
            name: "shop".to_owned(),
            identity: Identity {
                vzaps_id: "VZ1".to_owned(),
                ..Identity::default()
            },
            token: None,
            shows_token: true,
            base_url: "http://x".to_owned(),
            changed_at: OffsetDateTime::UNIX_EPOCH,
        };
        let frame = event_frame(&event, &profile);
        let head = match frame[1] {
            127 => 10,
            126 => 4,
            _ => 2,
        };
        let message = &frame[head..];
        (message.len(), serde_json::from_slice(message).unwrap())
    }

    #[test]
    fn a_frame_is_one_event() {
        let (_, message) = read(r#"{"text":"Oi"}"#.to_owned());
        let expected = json!({
            "id": "evt_5_ff", "type": "Message", "instance_id": "VZ1", "created_at": "1970-01-01T00:00:00.000Z",
            "data": {"type": "Message", "event": {"text": "Oi"}}
        });
        assert_eq!(message, expected);
    }

    #[test]
    fn no_frame_is_longer_than_clients_take() {
        let media = |inline: usize, text: usize| {
            let (inline, text) = ("b".repeat(inline), "t".repeat(text));
            read(format!(
                r#"{{"text":"{text}","media":{{"url":"u","base64":"{inline}"}}}}"#
            ))
        };
        let (length, message) = media(1000, 1000);
        assert!(length > 2000 && message["data"]["event"]["media"]["base64"].is_string());
        let (length, message) = media(1 << 20, 1000);
        assert!(length < 1 << 20, "{length}");
        assert_eq!(message["data"]["event"]["media"], json!({"url": "u"}));
        assert_eq!(message["data"]["media_url"], "u");
        let (length, message) = media(1000, 1 << 20);
        assert!(length < 1 << 20, "{length}");
        assert_eq!(
            message["data"]["event"]["url"],
            "http://x/v1/events/evt_5_ff"
        );
        // To the byte.
        let fixed = media(0, 0).0;
        for text in (1 << 20) - fixed - 2..(1 << 20) - fixed + 2 {
            assert!(media(0, text).0 < 1 << 20);
        }
    }
}
