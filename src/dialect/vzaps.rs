//! `VZaps`: the body of a webhook is the `data` of a realtime frame, `{"type", "event", …}`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Dialect, Parts, json};

/// The entry of a subscription that means everything.
pub(super) const ALL: &str = "All";

/// The keys, quotes and braces that are put around an event.
const FRAME_BYTES: usize = 40;

/// What is looked for at the top of an event's data, each part as it stands.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Outline<'a> {
    #[serde(borrow, rename = "type")]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    media_url: Option<&'a RawValue>,
    #[serde(borrow)]
    media: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
}

impl<'a> Outline<'a> {
    /// Of an object; of anything else there is none.
    fn of(json: &'a [u8]) -> Self {
        if !json.trim_ascii_start().starts_with(b"{") {
            return Self::default();
        }
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// The same of a part.
    fn of_part(part: Option<&'a RawValue>) -> Self {
        part.map(|part| Self::of(part.get().as_bytes()))
            .unwrap_or_default()
    }

    /// Whether it says itself that it is this event.
    fn is_called(&self, name: &str) -> bool {
        let said = self.name.map(RawValue::get);
        said.and_then(|said| serde_json::from_str::<String>(said).ok())
            .is_some_and(|said| said == name)
    }

    /// Where its media lies, as a JSON string: `media_url`, `media.url` or `message.media.url`.
    fn media_url(&self) -> Option<&'a str> {
        let in_media = Self::of_part(self.media).url;
        let in_message = Self::of_part(Self::of_part(self.message).media).url;
        let places = [self.media_url, in_media, in_message];
        let mut texts = places.into_iter().flatten().map(RawValue::get);
        texts.find(|text| text.starts_with('"') && text.len() > 2)
    }
}

/// The body a `VZaps` consumer expects. Data that says itself which event it is (`{"type": "Message", …}`) goes as it stands;
/// any other becomes the `event` beside the name, and the URL of its media, where it has one, stands beside it too.
pub(super) fn envelope(parts: &Parts<'_>) -> Bytes {
    let name = Dialect::Vzaps.name(parts.event_type);
    let outline = Outline::of(parts.data);
    if outline.is_called(name) {
        return Bytes::copy_from_slice(parts.data);
    }
    let media_url = outline.media_url();
    let more = name.len() + media_url.map_or(0, str::len);
    let mut out = Vec::with_capacity(FRAME_BYTES + more + parts.data.len());
    out.extend_from_slice(br#"{"type":"#);
    json::string(&mut out, name);
    out.extend_from_slice(br#","event":"#);
    out.extend_from_slice(parts.data);
    if let Some(url) = media_url {
        out.extend_from_slice(br#","media_url":"#);
        out.extend_from_slice(url.as_bytes());
    }
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
                sender: None,
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
        let with_media = |data: &str| {
            let expected = format!(
                r#"{{"type":"Message","event":{data},"media_url":"https://m.example/\u00e9"}}"#
            );
            check("message.exchange", data, &expected);
        };
        with_media(r#"{"message":{"media":{"url":"https://m.example/\u00e9"}}}"#);
        with_media(r#"{"media":{"url":"https://m.example/\u00e9"},"message":"x"}"#);
        with_media(r#"{"media_url":"https://m.example/\u00e9","media":null}"#);
        check(
            "Message",
            r#"{"media":"none","media_url":"","message":{"media":{"url":null}}}"#,
            r#"{"type":"Message","event":{"media":"none","media_url":"","message":{"media":{"url":null}}}}"#,
        );
        check(
            "Connected",
            r#"["Connected"]"#,
            r#"{"type":"Connected","event":["Connected"]}"#,
        );
    }
}
