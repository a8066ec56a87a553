//! `VZaps`: the body of a webhook is the `data` of a realtime frame, `{"type", "event", …}`.

use bytes::Bytes;
use serde::Deserialize;

use super::{Dialect, Parts, json};

/// The entry of a subscription that means everything.
pub(super) const ALL: &str = "All";

/// The keys, quotes and braces that are put around an event.
const FRAME_BYTES: usize = 24;

/// What of an event's data is looked at.
#[derive(Deserialize)]
struct Tagged<'a> {
    #[serde(borrow, rename = "type")]
    name: std::borrow::Cow<'a, str>,
}

/// The body a `VZaps` consumer expects. Data that says itself which event it is (`{"type": "Message", …}`) goes as it stands;
/// any other becomes the `event` beside the name.
pub(super) fn envelope(parts: &Parts<'_>) -> Bytes {
    let name = Dialect::Vzaps.name(parts.event_type);
    let is_object = parts.data.trim_ascii_start().starts_with(b"{");
    let tagged = serde_json::from_slice::<Tagged<'_>>(parts.data);
    if is_object && tagged.is_ok_and(|tagged| tagged.name == name) {
        return Bytes::copy_from_slice(parts.data);
    }
    let mut out = Vec::with_capacity(FRAME_BYTES + name.len() + parts.data.len());
    out.extend_from_slice(br#"{"type":"#);
    json::string(&mut out, name);
    out.extend_from_slice(br#","event":"#);
    out.extend_from_slice(parts.data);
    out.push(b'}');
    out.into()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::Identity;
    use super::*;

    #[test]
    fn data_that_names_its_event_goes_as_it_stands_and_other_data_is_named() {
        let check = |event_type: &str, data: &str, expected: &str| {
            let body = envelope(&Parts {
                event_id: "evt_1",
                event_type,
                instance: "my-instance",
                identity: &Identity::default(),
                instance_token: None,
                base_url: "",
                destination: "https://a.example",
                occurred_at: OffsetDateTime::UNIX_EPOCH,
                data: data.as_bytes(),
            });
            assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        };
        let own = r#"{ "type": "Message", "event": {"a": 1.0}, "media_url": "https://m.example" }"#;
        check("Message", own, own);
        check("message.exchange", own, own);
        check(
            "message.exchange",
            r#"{"a": 1.0}"#,
            r#"{"type":"Message","event":{"a": 1.0}}"#,
        );
        check(
            "group.flow",
            r#"{"type":"joined"}"#,
            r#"{"type":"group.flow","event":{"type":"joined"}}"#,
        );
        check("Connected", "null", r#"{"type":"Connected","event":null}"#);
        check(
            "Connected",
            r#"["Connected"]"#,
            r#"{"type":"Connected","event":["Connected"]}"#,
        );
    }
}
