//! Evolution API: `{"event", "instance", "data", "destination", "date_time", "sender", "server_url", "apikey"}`, and the forms
//! in which it writes an event's name.

use bytes::Bytes;
use time::OffsetDateTime;

use super::{Dialect, Parts, json};
use crate::crypto::jwt;

/// The keys, quotes, braces and the timestamp of an envelope.
const FRAME_BYTES: usize = 136;

/// The custom header that is none: deliveries carry a token signed with its value.
pub const JWT_KEY: &str = "jwt_key";

/// The events that may be subscribed to, in the documentation's order: as the API has them, and as they are called on the wire.
pub const EVENTS: [(&str, &str); 31] = [
    ("APPLICATION_STARTUP", "application.startup"),
    ("QRCODE_UPDATED", "qrcode.updated"),
    ("MESSAGES_SET", "messages.set"),
    ("MESSAGES_UPSERT", "messages.upsert"),
    ("MESSAGES_EDITED", "messages.edited"),
    ("MESSAGES_UPDATE", "messages.update"),
    ("MESSAGES_DELETE", "messages.delete"),
    ("SEND_MESSAGE", "send.message"),
    ("SEND_MESSAGE_UPDATE", "send.message.update"),
    ("CONTACTS_SET", "contacts.set"),
    ("CONTACTS_UPSERT", "contacts.upsert"),
    ("CONTACTS_UPDATE", "contacts.update"),
    ("PRESENCE_UPDATE", "presence.update"),
    ("CHATS_SET", "chats.set"),
    ("CHATS_UPSERT", "chats.upsert"),
    ("CHATS_UPDATE", "chats.update"),
    ("CHATS_DELETE", "chats.delete"),
    ("GROUPS_UPSERT", "groups.upsert"),
    ("GROUP_UPDATE", "groups.update"),
    ("GROUP_PARTICIPANTS_UPDATE", "group-participants.update"),
    ("CONNECTION_UPDATE", "connection.update"),
    ("LABELS_EDIT", "labels.edit"),
    ("LABELS_ASSOCIATION", "labels.association"),
    ("CALL", "call"),
    ("TYPEBOT_START", "typebot.start"),
    ("TYPEBOT_CHANGE_STATUS", "typebot.change-status"),
    ("REMOVE_INSTANCE", "remove.instance"),
    ("LOGOUT_INSTANCE", "logout.instance"),
    ("INSTANCE_CREATE", "instance.create"),
    ("INSTANCE_DELETE", "instance.delete"),
    ("STATUS_INSTANCE", "status.instance"),
];

/// The form in which subscriptions name an event: `group-participants.update` is `GROUP_PARTICIPANTS_UPDATE`.
pub fn key(name: &str) -> String {
    name.replace(['.', '-'], "_").to_uppercase()
}

/// The event that a subscription names: `MESSAGES_UPSERT`. `GROUP_UPDATE` may also be written like all the others.
pub fn event(named: &str) -> Option<&'static str> {
    let mut events = EVENTS.iter();
    events.find_map(|(known, name)| (*known == named || key(name) == named).then_some(*name))
}

/// What `byEvents` appends: `group-participants.update` is `group-participants-update`.
pub(super) fn suffix(name: &str) -> String {
    key(name).replace('_', "-").to_lowercase()
}

/// `Bearer` and a token signed with an endpoint's `jwt_key`. It lives ten minutes and is made anew for each attempt: one made
/// when the event happened would have expired at the later ones.
pub fn bearer(key: &[u8], now: OffsetDateTime) -> String {
    let issued = now.unix_timestamp();
    let expires = issued + 600;
    let claims =
        format!(r#"{{"iat":{issued},"exp":{expires},"app":"evolution","action":"webhook"}}"#);
    format!("Bearer {}", jwt::sign(claims.as_bytes(), key))
}

/// The body an Evolution API consumer expects. `server_url` is absent where none is configured.
pub(super) fn envelope(parts: &Parts<'_>) -> Bytes {
    let name = Dialect::Evolution.name(parts.event_type);
    let token = parts.instance_token;
    let texts = [parts.instance, parts.destination, parts.base_url, name];
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    let more = token.map_or(0, str::len) + parts.sender().map_or(0, str::len);
    let mut out = Vec::with_capacity(FRAME_BYTES + texts + more + parts.data.len());
    out.extend_from_slice(br#"{"event":"#);
    json::string(&mut out, name);
    out.extend_from_slice(br#","instance":"#);
    json::string(&mut out, parts.instance);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(parts.data);
    if !parts.destination.is_empty() {
        out.extend_from_slice(br#","destination":"#);
        json::string(&mut out, parts.destination);
    }
    out.extend_from_slice(br#","date_time":""#);
    json::timestamp(&mut out, parts.occurred_at);
    out.extend_from_slice(br#"","sender":"#);
    json::string_or_null(&mut out, parts.sender());
    if !parts.base_url.is_empty() {
        out.extend_from_slice(br#","server_url":"#);
        json::string(&mut out, parts.base_url);
    }
    out.extend_from_slice(br#","apikey":"#);
    json::string_or_null(&mut out, token);
    out.push(b'}');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::*;

    #[test]
    fn the_envelope_is_evolutions_and_the_data_is_kept_byte_for_byte() {
        let identity = Identity {
            sender: Some("5511999999999@s.whatsapp.net".to_owned()),
            ..Identity::default()
        };
        let parts = Parts {
            event_id: "evt_1",
            event_type: "message.exchange",
            instance: "my-instance",
            identity: &identity,
            sender: None,
            instance_token: Some("instance-token"),
            base_url: "http://localhost:8080",
            destination: "https://your-server.com/webhook",
            occurred_at: OffsetDateTime::from_unix_timestamp(1_701_426_600).unwrap(),
            data: br#"{ "b":1.0 ,"a":"\u00e9", "a":2 }"#,
        };
        let expected = concat!(
            r#"{"event":"messages.upsert","instance":"my-instance","data":{ "b":1.0 ,"a":"\u00e9", "a":2 },"#,
            r#""destination":"https://your-server.com/webhook","date_time":"2023-12-01T10:30:00.000Z","#,
            r#""sender":"5511999999999@s.whatsapp.net","server_url":"http://localhost:8080","apikey":"instance-token"}"#
        );
        assert_eq!(std::str::from_utf8(&envelope(&parts)).unwrap(), expected);
        let bare = Parts {
            identity: &Identity::default(),
            instance_token: None,
            base_url: "",
            ..parts
        };
        let expected = concat!(
            r#"{"event":"messages.upsert","instance":"my-instance","data":{ "b":1.0 ,"a":"\u00e9", "a":2 },"#,
            r#""destination":"https://your-server.com/webhook","date_time":"2023-12-01T10:30:00.000Z","sender":null,"apikey":null}"#
        );
        assert_eq!(std::str::from_utf8(&envelope(&bare)).unwrap(), expected);
    }

    #[test]
    fn every_event_of_the_api_is_one_of_the_wire() {
        for (key, name) in EVENTS {
            assert_eq!(Dialect::Evolution.name(name), name);
            assert_eq!(Dialect::Evolution.meant(key), name);
            assert_eq!(event(key), Some(name));
        }
        assert_eq!(event("GROUPS_UPDATE"), Some("groups.update"));
        for other in ["messages.upsert", "message.exchange", "ERRORS", ""] {
            assert_eq!(event(other), None);
        }
    }

    #[test]
    fn the_suffix_has_dashes_only() {
        let check = |name, expected| assert_eq!(Dialect::Evolution.suffix(name), expected);
        check("messages.upsert", "messages-upsert");
        check("group-participants.update", "group-participants-update");
        check("typebot.change-status", "typebot-change-status");
        check("message.exchange", "messages-upsert");
        check("order.paid", "order-paid");
        check("Order_Paid", "order-paid");
    }
}
