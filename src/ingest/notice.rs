//! Reads a payload.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::db::ingest::{IngestEvent, IngestItem};

/// What a payload looks like. A key that is not known is a key that is misspelt.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload<'a> {
    /// Whose.
    instance: String,
    /// Which type.
    r#type: String,
    /// Anything. Its bytes are kept.
    #[serde(borrow)]
    data: &'a RawValue,
    /// Against duplicates.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// Told in place of the instance's own.
    #[serde(default)]
    sender: Option<String>,
}

/// The event a payload asks for, or what is wrong with it.
pub(super) fn read(payload: String) -> IngestItem {
    let event = match serde_json::from_str::<&RawValue>(&payload) {
        // An array would be read as the fields in their order, and that is nobody's meaning.
        Ok(raw) if !raw.get().starts_with('{') => {
            return IngestItem {
                payload,
                event: Err("not an event: not a JSON object".to_owned()),
            };
        }
        Ok(raw) => serde_json::from_str::<Payload<'_>>(raw.get()),
        Err(error) => Err(error),
    };
    let event = match event {
        Ok(read) => Ok(IngestEvent {
            instance: read.instance,
            event_type: read.r#type,
            data: read.data.get().to_owned(),
            idempotency_key: read.idempotency_key,
            sender: read.sender,
        }),
        Err(error) => Err(format!("not an event: {error}")),
    };
    IngestItem { payload, event }
}

#[cfg(test)]
mod tests {
    use super::read;

    /// Asserts what a payload is refused for.
    fn check_refused(payload: &str, expected: &str) {
        let error = read(payload.to_owned()).event.expect_err("refused");
        assert!(error.contains(expected), "{payload}: {error}");
    }

    #[test]
    fn data_is_kept_byte_for_byte() {
        let item =
            read(r#"{"type":"a", "data": { "b" : 1.50 , "b":2}, "instance":"i"}"#.to_owned());
        let event = item.event.expect("an event");
        assert_eq!(event.data, r#"{ "b" : 1.50 , "b":2}"#);
        assert_eq!(
            (event.instance.as_str(), event.event_type.as_str()),
            ("i", "a")
        );
        assert_eq!(event.idempotency_key, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        check_refused("", "EOF");
        check_refused("hello", "expected value");
        check_refused("[]", "not a JSON object");
        check_refused(r#"["i","t",{},null]"#, "not a JSON object");
        check_refused(r#"{"instance":"i","data":{}}"#, "missing field `type`");
        check_refused(r#"{"instance":"i","type":"t"}"#, "missing field `data`");
        check_refused(
            r#"{"instance":1,"type":"t","data":{}}"#,
            "expected a string",
        );
        check_refused(
            r#"{"instance":"i","type":"t","data":{},"idempotencyKey":"k"}"#,
            "unknown field `idempotencyKey`",
        );
    }
}
