//! `CodeChat` v2: `{"event", "instance": {…, "WhatsApp", "Business"}, "data"}` with three headers that name them again.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::{Dialect, Identity, Parts, json};

/// The keys, quotes, braces and timestamps of an envelope.
const FRAME_BYTES: usize = 420;

/// The body a `CodeChat` consumer expects. An instance of ours is one number and one business, so all three have its id.
pub(super) fn envelope(parts: &Parts<'_>) -> Bytes {
    let identity = parts.identity;
    let name = Dialect::Codechat.name(parts.event_type);
    let mut out = Vec::with_capacity(
        FRAME_BYTES
            + name.len()
            + 3 * parts.instance.len()
            + 3 * identity.uid.len()
            + parts.data.len(),
    );
    out.extend_from_slice(br#"{"event":"#);
    json::string(&mut out, name);
    out.extend_from_slice(br#","instance":{"instanceId":"#);
    json::string(&mut out, &identity.uid);
    out.extend_from_slice(br#","name":"#);
    json::string(&mut out, parts.instance);
    // Whoever emits an event is there: nothing else is known of the connection.
    out.extend_from_slice(br#","state":"active","connection":"open","createdAt":""#);
    json::timestamp(&mut out, identity.created_at);
    out.extend_from_slice(br#"","WhatsApp":{"whatsappId":"#);
    json::string(&mut out, &identity.uid);
    out.extend_from_slice(br#","remoteJid":"#);
    json::string_or_null(&mut out, parts.sender());
    out.extend_from_slice(br#","pictureUrl":null,"pushName":"#);
    json::string(&mut out, parts.instance);
    out.extend_from_slice(br#","createdAt":""#);
    json::timestamp(&mut out, identity.created_at);
    out.extend_from_slice(br#""},"Business":{"businessId":"#);
    json::string(&mut out, &identity.uid);
    out.extend_from_slice(br#","name":"#);
    json::string(&mut out, parts.instance);
    out.extend_from_slice(br#"}},"data":"#);
    out.extend_from_slice(parts.data);
    out.push(b'}');
    out.into()
}

/// The headers that a `CodeChat` consumer requires.
pub(super) fn headers(identity: &Identity) -> Vec<(HeaderName, HeaderValue)> {
    ["x-businessid", "x-instanceid", "x-whatsappid"]
        .into_iter()
        .filter_map(|name| {
            let value = HeaderValue::from_str(&identity.uid).ok()?;
            Some((HeaderName::from_static(name), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn the_envelope_is_codechats_and_the_data_is_kept_byte_for_byte() {
        let identity = Identity {
            uid: "0b0e7a9e-0000-4000-8000-000000000001".to_owned(),
            sender: Some("5511@s.whatsapp.net".to_owned()),
            ..Identity::default()
        };
        let data = br#"{ "b":1.0 ,"a":"\u00e9", "a":2 }"#;
        let body = envelope(&Parts {
            event_id: "evt_1",
            event_type: "message.exchange",
            instance: "my-instance",
            identity: &identity,
            sender: None,
            instance_token: Some("never here"),
            base_url: "",
            destination: "https://a.example",
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            data,
        });
        let tail = [br#","data":"#.as_slice(), data, b"}"].concat();
        assert!(body.ends_with(&tail));
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["event"], "messages.upsert");
        assert_eq!(
            value["instance"],
            json!({
                "instanceId": identity.uid, "name": "my-instance", "state": "active", "connection": "open",
                "createdAt": "1970-01-01T00:00:00.000Z",
                "WhatsApp": {
                    "whatsappId": identity.uid, "remoteJid": "5511@s.whatsapp.net", "pictureUrl": null,
                    "pushName": "my-instance", "createdAt": "1970-01-01T00:00:00.000Z"
                },
                "Business": { "businessId": identity.uid, "name": "my-instance" }
            })
        );
        let names: Vec<_> = headers(&identity)
            .into_iter()
            .map(|header| header.0)
            .collect();
        assert_eq!(names, ["x-businessid", "x-instanceid", "x-whatsappid"]);
    }
}
