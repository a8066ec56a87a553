//! The switches of a webhook, as they stand in requests and answers.

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::switches::{STATE_INSTANCE_IN_TEXT, TOGGLES, Toggle};

/// What an answer has beside the switches: a client may send the whole of it back.
const NOT_SWITCHES: [&str; 3] = ["webhookEventsId", "createdAt", "updatedAt"];

/// The switches a request moves; those it does not name stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodechatEvents(pub(super) Vec<(Toggle, bool)>);

impl<'de> Deserialize<'de> for CodechatEvents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Switches)
    }
}

/// Reads `{"messagesSet": false, …}`.
struct Switches;

impl<'de> Visitor<'de> for Switches {
    type Value = CodechatEvents;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of switches")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut switches: A) -> Result<CodechatEvents, A::Error> {
        let mut moved = Vec::new();
        while let Some(name) = switches.next_key::<String>()? {
            if NOT_SWITCHES.contains(&name.as_str()) {
                switches.next_value::<IgnoredAny>()?;
                continue;
            }
            let Some(toggle) = Toggle::named(&name) else {
                return Err(A::Error::custom(unknown(&name)));
            };
            let on: bool = switches.next_value()?;
            // The two spellings of one switch may both be there, but must agree.
            if moved.contains(&(toggle, !on)) {
                return Err(A::Error::custom(format!(
                    "{} is both true and false",
                    toggle.name
                )));
            }
            moved.push((toggle, on));
        }
        Ok(CodechatEvents(moved))
    }
}

/// That a name is none, and which one may have been meant.
fn unknown(name: &str) -> String {
    let near = |toggle: &Toggle| strsim::damerau_levenshtein(toggle.name, name);
    let nearest = TOGGLES.into_iter().min_by_key(near);
    if let Some(toggle) = nearest.filter(|toggle| near(toggle) <= 3) {
        return format!(
            "there is no event {name:?}; did you mean {:?}?",
            toggle.name
        );
    }
    let names: Vec<&str> = TOGGLES.iter().map(|toggle| toggle.name).collect();
    format!("there is no event {name:?}; there are {}", names.join(", "))
}

/// All the documented switches, as they stand at an endpoint with this list of events.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Vec<String>);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(TOGGLES.len()))?;
        for toggle in TOGGLES {
            map.serialize_entry(toggle.name, &toggle.is_on(&self.0))?;
        }
        map.end()
    }
}

/// The documented switches, with a description each.
fn properties() -> ObjectBuilder {
    TOGGLES
        .into_iter()
        .fold(ObjectBuilder::new(), |object, toggle| {
            object.property(toggle.name, switch(toggle))
        })
}

/// One switch.
fn switch(toggle: Toggle) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .default(Some(true.into()))
        .description(Some(toggle.what))
}

impl PartialSchema for CodechatEvents {
    fn schema() -> RefOr<Schema> {
        let others = Toggle::all().filter(|toggle| !TOGGLES.contains(toggle));
        let object = others.fold(properties(), |object, toggle| {
            object.property(toggle.name, switch(toggle))
        });
        let in_text = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .description(Some("Another spelling of stateInstance"));
        object.property(STATE_INSTANCE_IN_TEXT, in_text).into()
    }
}

impl ToSchema for CodechatEvents {}

impl PartialSchema for Shown {
    fn schema() -> RefOr<Schema> {
        let names = TOGGLES.into_iter();
        names
            .fold(properties(), |object, toggle| object.required(toggle.name))
            .into()
    }
}

impl ToSchema for Shown {
    fn name() -> std::borrow::Cow<'static, str> {
        "CodechatSwitches".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(json: &str) -> Result<Vec<(&'static str, bool)>, String> {
        let moved =
            serde_json::from_str::<CodechatEvents>(json).map_err(|error| error.to_string())?;
        Ok(moved
            .0
            .into_iter()
            .map(|(toggle, on)| (toggle.name, on))
            .collect())
    }

    #[test]
    fn any_part_of_the_switches_may_be_moved_in_both_spellings() {
        assert_eq!(moved("{}"), Ok(vec![]));
        assert_eq!(moved(r#"{"newJwt":false}"#), Ok(vec![("newJwt", false)]));
        let spelt = Ok(vec![("stateInstance", false)]);
        assert_eq!(moved(r#"{"statusInstance":false}"#), spelt);
        assert_eq!(moved(r#"{"stateInstance":false}"#), spelt);
        let both = moved(r#"{"statusInstance":false,"stateInstance":false}"#);
        assert_eq!(both.unwrap().len(), 2);
        let shown = r#"{"chatsSet":true,"webhookEventsId":"x","createdAt":"y","updatedAt":"z"}"#;
        assert_eq!(moved(shown), Ok(vec![("chatsSet", true)]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |json: &str, expected: &str| {
            let error = moved(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        };
        check(r#"{"messageSet":false}"#, r#"did you mean "messagesSet"?"#);
        check(
            r#"{"order.paid":false}"#,
            "there are qrcodeUpdate, stateInstance, ",
        );
        check(r#"{"newJwt":1}"#, "expected a boolean");
        check(r#"{"newJwt":null}"#, "expected a boolean");
        check(
            r#"{"statusInstance":false,"stateInstance":true}"#,
            "stateInstance is both true and false",
        );
        check("[]", "expected an object of switches");
    }
}
