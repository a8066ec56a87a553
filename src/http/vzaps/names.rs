//! Event names: which there are, and how clients write them: as a list, or as one string with commas.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::http::fault::Fault;

/// Stands for every event.
const ALL: &str = "All";

/// The names there are. They are spelt so and in no other way.
const EVENTS: [&str; 10] = [
    "Message",
    "ReadReceipt",
    "Presence",
    "ChatPresence",
    "HistorySync",
    "Connected",
    "Disconnected",
    "GroupParticipantsAdd",
    "GroupParticipantsRemove",
    ALL,
];

/// Names that are none, although one might think so.
const RECEIPTS: [&str; 3] = ["Receipt", "MessageDelivered", "MessageRead"];

/// The events an endpoint keeps for what its owner wrote: none where it is to have all of them.
pub(super) fn subscription(field: &str, names: &Names) -> Result<Vec<String>, Fault> {
    let mut events: Vec<String> = Vec::new();
    for name in names
        .0
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
    {
        check(field, name)?;
        if !events.iter().any(|known| known == name) {
            events.push(name.to_owned());
        }
    }
    if events.is_empty() {
        let message =
            format!("{field}: it names no event; name one at least, or {ALL}, or leave it out");
        return Err(Fault::invalid(field, message));
    }
    if events.iter().any(|name| name == ALL) {
        events.clear();
    }
    Ok(events)
}

/// Refuses a name that is none.
pub(super) fn check(field: &str, name: &str) -> Result<(), Fault> {
    if EVENTS.contains(&name) {
        return Ok(());
    }
    let remedy = if RECEIPTS.contains(&name) {
        "use ReadReceipt, whose payload says in `state` which receipt it is".to_owned()
    } else {
        format!("there are {}", EVENTS.join(", "))
    };
    Err(Fault::invalid(
        field,
        format!("{field}: there is no event {name:?}; {remedy}"),
    ))
}

/// Whether a name stands for every event.
pub(super) fn is_all(name: &str) -> bool {
    name == ALL
}

/// The events of an endpoint as answers show them.
pub(super) fn shown(events: &[String]) -> Vec<&str> {
    if events.is_empty() {
        return vec![ALL];
    }
    events.iter().map(String::as_str).collect()
}

/// What stands in a body where event names are expected, not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

impl PartialSchema for Names {
    fn schema() -> RefOr<Schema> {
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(EVENTS));
        let joined = ObjectBuilder::new()
            .schema_type(Type::String)
            .examples(["Message,Connected"]);
        OneOfBuilder::new()
            .description(Some("Event names, as a list or with commas between"))
            .item(ArrayBuilder::new().items(name).min_items(Some(1)))
            .item(joined)
            .into()
    }
}

impl ToSchema for Names {
    fn name() -> std::borrow::Cow<'static, str> {
        "VzapsEventNames".into()
    }
}

/// Takes both forms.
struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = Names;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of event names, or one string of them with commas between")
    }

    fn visit_str<E>(self, joined: &str) -> Result<Names, E> {
        Ok(Names(joined.split(',').map(str::to_owned).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut listed: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = listed.next_element::<String>()? {
            // An element may be joined too: {"events": ["Message,Connected"]}.
            names.extend(name.split(',').map(str::to_owned));
        }
        Ok(Names(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &[&str]) {
        let names: Names = serde_json::from_str(json).unwrap();
        assert_eq!(names.0, expected, "{json}");
    }

    #[test]
    fn names_come_as_a_list_or_joined() {
        check(r#"["Message","Connected"]"#, &["Message", "Connected"]);
        check(r#""Message,Connected""#, &["Message", "Connected"]);
        check(
            r#"["Message,Connected","All"]"#,
            &["Message", "Connected", "All"],
        );
        check(r#""""#, &[""]);
        check("[]", &[]);
    }

    #[test]
    fn a_subscription_has_each_name_once_and_all_of_them_is_no_list() {
        let check = |names: &[&str], expected: &[&str]| {
            let names = Names(names.iter().map(|&name| name.to_owned()).collect());
            assert_eq!(subscription("events", &names).unwrap(), expected);
        };
        check(
            &["Message", " Connected ", "", "Message"],
            &["Message", "Connected"],
        );
        check(&["Message", "All"], &[]);
        assert_eq!(shown(&[]), ["All"]);
        assert_eq!(shown(&["Message".to_owned()]), ["Message"]);
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_the_remedy() {
        let check = |name: &str, expected: &str| {
            let fault = subscription("events", &Names(vec![name.to_owned()])).unwrap_err();
            assert!(
                fault.message.contains(expected),
                "{name:?}: {}",
                fault.message
            );
        };
        check("Receipt", "use ReadReceipt");
        check("MessageRead", "use ReadReceipt");
        check("message", "there are Message, ReadReceipt, ");
        check("", "names no event");
    }

    #[test]
    fn anything_else_is_refused_and_the_forms_are_named() {
        for json in ["1", "true", "{}", "[1]", "[null]"] {
            let error = serde_json::from_str::<Names>(json).unwrap_err().to_string();
            assert!(error.contains("expected a"), "{json}: {error}");
        }
    }
}
