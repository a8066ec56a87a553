//! Our own: `{"id", "type", "instance", "timestamp", "data"}`.

use bytes::Bytes;

use super::{Parts, json};

/// The keys, quotes, braces and the timestamp of an envelope.
const FRAME_BYTES: usize = 88;

/// The body of our own dialect.
pub(super) fn envelope(parts: &Parts<'_>) -> Bytes {
    let names = parts.event_id.len() + parts.event_type.len() + parts.instance.len();
    let mut out = Vec::with_capacity(FRAME_BYTES + names + parts.data.len());
    out.extend_from_slice(br#"{"id":"#);
    json::string(&mut out, parts.event_id);
    out.extend_from_slice(br#","type":"#);
    json::string(&mut out, parts.event_type);
    out.extend_from_slice(br#","instance":"#);
    json::string(&mut out, parts.instance);
    out.extend_from_slice(br#","timestamp":""#);
    json::timestamp(&mut out, parts.occurred_at);
    out.extend_from_slice(br#"","data":"#);
    out.extend_from_slice(parts.data);
    out.push(b'}');
    out.into()
}

#[cfg(test)]
mod tests {
    use time::{OffsetDateTime, UtcOffset};

    use super::super::Identity;
    use super::*;

    #[test]
    fn the_envelope_is_ours_and_the_data_is_kept_byte_for_byte() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_777_372_200_007_999_999).unwrap();
        let body = envelope(&Parts {
            event_id: "evt_1",
            event_type: "order.paid",
            instance: "shop\n1",
            identity: &Identity::default(),
            sender: None,
            destination: "https://a.example",
            instance_token: Some("never here"),
            base_url: "https://api.example.com",
            occurred_at: at.to_offset(UtcOffset::from_hms(-3, 0, 0).unwrap()),
            data: br#"{ "b":1.0 ,"a":"\u00e9", "a":2 }"#,
        });
        let expected = concat!(
            r#"{"id":"evt_1","type":"order.paid","instance":"shop\n1","timestamp":"2026-04-28T10:30:00.007Z","#,
            r#""data":{ "b":1.0 ,"a":"\u00e9", "a":2 }}"#
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        serde_json::from_slice::<serde_json::Value>(&body).unwrap();
    }
}
