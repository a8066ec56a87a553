//! What the server sends: events, and now and then a word about the connection.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

/// An event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The same however often it comes: know it again by this.
    pub id: String,
    /// Its type, as it was emitted.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The instance's name.
    pub instance: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub timestamp: OffsetDateTime,
    /// Its data, byte for byte as it was emitted.
    pub data: Box<RawValue>,
    /// Where a reader is after it.
    pub cursor: String,
}

impl Event {
    /// Its data as a type of your own.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data.get())
    }
}

/// One message of the server.
#[derive(Debug)]
pub(super) enum Said {
    /// An event.
    Event(Event),
    /// Everything up to here has been sent.
    Position { cursor: String },
    /// Events were removed before they were sent; the oldest place there is.
    Gap { reason: String, earliest: String },
    /// Something we need not know of.
    Other,
}

/// A control message, as far as it is of use.
#[derive(Debug, Deserialize)]
struct Control {
    #[serde(rename = "control")]
    kind: Option<String>,
    #[serde(default)]
    recovered: bool,
    cursor: Option<String>,
    earliest: Option<String>,
    reason: Option<String>,
}

impl Said {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let control: Control = serde_json::from_str(text)?;
        let Some(kind) = control.kind else {
            return serde_json::from_str(text).map(Self::Event);
        };
        Ok(match (kind.as_str(), control.cursor, control.earliest) {
            ("position", Some(cursor), _) if control.recovered => Self::Position { cursor },
            ("position", _, Some(earliest)) if !control.recovered => Self::Gap {
                reason: control.reason.unwrap_or_default(),
                earliest,
            },
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn events_are_told_from_what_is_said_about_the_connection() {
        let event = r#"{"id":"evt_1","type":"a","instance":"i","timestamp":"2026-01-31T12:00:00.5Z","data":{ "control":"x" },"cursor":"C"}"#;
        let Ok(Said::Event(event)) = Said::parse(event) else {
            panic!("it is an event");
        };
        assert_eq!(
            (event.data.get(), &*event.cursor),
            (r#"{ "control":"x" }"#, "C")
        );
        let said = |text| format!("{:?}", Said::parse(text).unwrap());
        assert_eq!(
            said(r#"{"control":"position","recovered":true,"cursor":"C"}"#),
            r#"Position { cursor: "C" }"#
        );
        assert_eq!(
            said(
                r#"{"control":"position","recovered":false,"reason":"removed","earliest":"E","cursor":"C"}"#
            ),
            r#"Gap { reason: "removed", earliest: "E" }"#
        );
        assert_eq!(said(r#"{"control":"filter","events":["a"]}"#), "Other");
        assert!(Said::parse(r#"{"id":"evt_1"}"#).is_err());
        assert!(Said::parse("[]").is_err());
    }
}
