//! RyzeAPI: `{"event", "data", "instanceData": {"baseUrl", "instance", "token"}}`.

use bytes::Bytes;

use super::{Dialect, Parts, json};

/// The keys, quotes and braces of an envelope.
const FRAME_BYTES: usize = 96;

/// The body a `RyzeAPI` consumer expects. An instance without a token has an empty one, for consumers declare it a string.
pub(super) fn envelope(parts: &Parts<'_>) -> Bytes {
    let token = parts.instance_token.unwrap_or_default();
    let name = Dialect::Ryze.name(parts.event_type);
    let names = name.len() + parts.base_url.len() + parts.instance.len() + token.len();
    let mut out = Vec::with_capacity(FRAME_BYTES + names + parts.data.len());
    out.extend_from_slice(br#"{"event":"#);
    json::string(&mut out, name);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(parts.data);
    out.extend_from_slice(br#","instanceData":{"baseUrl":"#);
    json::string(&mut out, parts.base_url);
    out.extend_from_slice(br#","instance":"#);
    json::string(&mut out, parts.instance);
    out.extend_from_slice(br#","token":"#);
    json::string(&mut out, token);
    out.extend_from_slice(b"}}");
    out.into()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::Identity;
    use super::*;

    #[test]
    fn the_envelope_is_ryzes_and_the_data_is_kept_byte_for_byte() {
        let data = br#"{ "b":1.0 ,"a":"\u00e9", "a":2 }"#;
        let body = envelope(&Parts {
            event_id: "evt_1",
            event_type: "message.exchange",
            instance: "my \"instance\"",
            identity: &Identity::default(),
            sender: None,
            destination: "https://a.example",
            instance_token: Some("t0k"),
            base_url: "https://api.example.com",
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            data,
        });
        let expected = concat!(
            r#"{"event":"message.exchange","data":{ "b":1.0 ,"a":"\u00e9", "a":2 },"#,
            r#""instanceData":{"baseUrl":"https://api.example.com","instance":"my \"instance\"","token":"t0k"}}"#
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        serde_json::from_slice::<serde_json::Value>(&body).unwrap();
    }
}
