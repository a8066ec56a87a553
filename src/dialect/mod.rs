//! Whose API and envelope an endpoint speaks. Pure: names, suffixes and envelopes.
//!
//! One file a dialect, and `catalog` for what each calls an event. To add one: a variant, its name, and its arm in
//! [`Dialect::suffix`] and [`envelope`]; the compiler names the places.

mod catalog;
mod codechat;
pub mod evolution;
mod json;
mod postrider;
mod ryze;
mod vzaps;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use time::OffsetDateTime;
use url::Url;

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Our own.
    Postrider,
    /// RyzeAPI.
    Ryze,
    /// Evolution API, and Evolution API Lite.
    Evolution,
    /// `CodeChat` v2.
    Codechat,
    /// `VZaps`.
    Vzaps,
}

/// A name that no dialect has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no dialect `{0}`; there are: postrider, ryze, evolution, codechat, vzaps")]
pub struct UnknownDialect(String);

/// What envelopes tell of an instance beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its UUID.
    pub uid: String,
    /// Its id in the form that `VZaps` clients expect.
    pub vzaps_id: String,
    /// Who sends for it, in the form that its consumers know: a `WhatsApp` number's jid, say.
    pub sender: Option<String>,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            uid: String::new(),
            vzaps_id: String::new(),
            sender: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

/// What an envelope may carry. `data` is the event's JSON body, whose bytes are kept as they are.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The event, as receivers see it.
    pub event_id: &'a str,
    /// As it was emitted.
    pub event_type: &'a str,
    /// The instance's name.
    pub instance: &'a str,
    /// What else is known of the instance.
    pub identity: &'a Identity,
    /// Who sent the event, where it is not the instance's own sender.
    pub sender: Option<&'a str>,
    /// The instance's own token, where it has one. In clear: the envelope is on its way out.
    pub instance_token: Option<&'a str>,
    /// `http.public_url`: where the instance's API is reached from outside.
    pub base_url: &'a str,
    /// Where it goes, without an event suffix; empty on a socket.
    pub destination: &'a str,
    /// When the event happened.
    pub occurred_at: OffsetDateTime,
    /// The event's JSON body.
    pub data: &'a [u8],
}

impl Parts<'_> {
    /// Who sent the event.
    fn sender(&self) -> Option<&str> {
        self.sender.or(self.identity.sender.as_deref())
    }
}

impl Dialect {
    /// All of them, for configuration and help.
    pub const ALL: [Self; 5] = [
        Self::Postrider,
        Self::Ryze,
        Self::Evolution,
        Self::Codechat,
        Self::Vzaps,
    ];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postrider => "postrider",
            Self::Ryze => "ryze",
            Self::Evolution => "evolution",
            Self::Codechat => "codechat",
            Self::Vzaps => "vzaps",
        }
    }

    /// Whether its envelope carries the instance's own token.
    pub fn sends_instance_token(self) -> bool {
        match self {
            Self::Postrider | Self::Codechat | Self::Vzaps => false,
            Self::Ryze | Self::Evolution => true,
        }
    }

    /// What an event is called in this dialect. A type that no catalog knows keeps its name, and our own dialect changes none.
    pub fn name(self, event_type: &str) -> &str {
        catalog::name(self, event_type)
    }

    /// The event that an entry of a subscription means: its name in this dialect, whichever way it was spelt.
    pub fn meant(self, filter: &str) -> &str {
        catalog::meant(self, filter)
    }

    /// The events this dialect has names for; none for our own, which takes every name.
    pub fn own_names(self) -> impl Iterator<Item = &'static str> {
        catalog::own_names(self)
    }

    /// Whether a subscription to `filters` gets events of this type. The fan-out asks `postrider.wanted_types`, which says the
    /// same. No filter means everything but what tells of Postrider itself.
    pub fn wants(self, filters: &[String], event_type: &str) -> bool {
        let everything = Self::Vzaps == self && filters.iter().any(|filter| filter == vzaps::ALL);
        if filters.is_empty() || everything {
            return !event_type.starts_with("postrider.");
        }
        let name = self.name(event_type);
        filters
            .iter()
            .any(|filter| filter == event_type || self.meant(filter) == name)
    }

    /// What `byEvents` appends to the URL's path as a segment of its own, not yet percent-encoded.
    pub fn suffix(self, event_type: &str) -> Cow<'_, str> {
        let name = self.name(event_type);
        match self {
            Self::Postrider | Self::Ryze | Self::Codechat | Self::Vzaps => Cow::Borrowed(name),
            Self::Evolution => Cow::Owned(evolution::suffix(name)),
        }
    }

    /// `base` with the event's suffix: on the path, before the query, with one slash between, percent-encoded so that it stays
    /// one segment. (`.` and `..` can be no segment and add nothing.) Evolution API's own joins with a slash whatever is there.
    pub fn url_by_event(self, base: &Url, event_type: &str) -> Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            if self != Self::Evolution {
                segments.pop_if_empty();
            }
            segments.push(&self.suffix(event_type));
        }
        url
    }
}

/// Every row of `postrider.event_names`: dialect, type or spelling, the name it has there, and whether it is a type.
pub fn event_names() -> Vec<(Dialect, String, &'static str, bool)> {
    catalog::rows()
}

impl std::str::FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
            .ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

/// A time as all dialects write it: RFC 3339 in UTC with milliseconds.
pub fn timestamp(at: OffsetDateTime) -> String {
    let mut text = Vec::with_capacity(24);
    json::timestamp(&mut text, at);
    String::from_utf8(text).expect("digits and signs are ASCII")
}

/// The body that receivers of `dialect` expect around an event's data.
pub fn envelope(dialect: Dialect, parts: &Parts<'_>) -> Bytes {
    match dialect {
        Dialect::Postrider => postrider::envelope(parts),
        Dialect::Ryze => ryze::envelope(parts),
        Dialect::Evolution => evolution::envelope(parts),
        Dialect::Codechat => codechat::envelope(parts),
        Dialect::Vzaps => vzaps::envelope(parts),
    }
}

/// Headers that receivers of `dialect` require beside what every delivery carries.
pub fn headers(dialect: Dialect, identity: &Identity) -> Vec<(HeaderName, HeaderValue)> {
    match dialect {
        Dialect::Codechat => codechat::headers(identity),
        Dialect::Postrider | Dialect::Ryze | Dialect::Evolution | Dialect::Vzaps => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_found_by_its_name_and_no_other() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.as_str().parse(), Ok(dialect));
        }
        let error = "Ryze".parse::<Dialect>().unwrap_err().to_string();
        assert!(
            Dialect::ALL
                .iter()
                .all(|dialect| error.contains(dialect.as_str())),
            "{error}"
        );
    }

    #[test]
    fn the_event_goes_on_the_path_as_one_segment() {
        let check = |base: &str, event_type: &str, expected: &str| {
            for dialect in Dialect::ALL {
                if dialect != Dialect::Evolution {
                    let url = dialect.url_by_event(&base.parse().unwrap(), event_type);
                    assert_eq!(url.as_str(), expected);
                }
            }
        };
        check(
            "https://a.example/wh",
            "order.paid",
            "https://a.example/wh/order.paid",
        );
        check(
            "https://a.example/wh/",
            "order.paid",
            "https://a.example/wh/order.paid",
        );
        check("https://a.example", "x", "https://a.example/x");
        check(
            "https://a.example/wh?k=v&w=/",
            "x",
            "https://a.example/wh/x?k=v&w=/",
        );
        check(
            "https://a.example/wh#part",
            "x",
            "https://a.example/wh/x#part",
        );
        check("https://a.example/w%20h", "x", "https://a.example/w%20h/x");
        check(
            "https://a.example/wh",
            "../a/b",
            "https://a.example/wh/..%2Fa%2Fb",
        );
        check(
            "https://a.example/wh",
            "a?b#c%d\\e é\"",
            "https://a.example/wh/a%3Fb%23c%25d%5Ce%20%C3%A9%22",
        );
        check("https://a.example/wh", "..", "https://a.example/wh");
    }
    #[test]
    fn evolutions_suffix_is_joined_with_a_slash_whatever_is_there() {
        let check = |base: &str, expected: &str| {
            let url = Dialect::Evolution.url_by_event(&base.parse().unwrap(), "message.exchange");
            assert_eq!(url.as_str(), expected);
        };
        check(
            "https://a.example/wh",
            "https://a.example/wh/messages-upsert",
        );
        check(
            "https://a.example/wh/",
            "https://a.example/wh//messages-upsert",
        );
        check("https://a.example", "https://a.example/messages-upsert");
        check(
            "https://a.example/wh?k=v",
            "https://a.example/wh/messages-upsert?k=v",
        );
    }

    #[test]
    fn a_subscription_gets_what_other_dialects_call_so_and_nothing_else() {
        let wants = |dialect: Dialect, filters: &[&str], event_type: &str| {
            let filters: Vec<_> = filters.iter().map(|&filter| filter.to_owned()).collect();
            dialect.wants(&filters, event_type)
        };
        assert!(wants(
            Dialect::Ryze,
            &["message.exchange"],
            "messages.upsert"
        ));
        assert!(wants(Dialect::Evolution, &["MESSAGES_UPSERT"], "Message"));
        assert!(!wants(
            Dialect::Evolution,
            &["SEND_MESSAGE"],
            "message.exchange"
        ));
        assert!(wants(
            Dialect::Codechat,
            &["messagesUpsert"],
            "message.exchange"
        ));
        assert!(wants(Dialect::Vzaps, &["All"], "order.paid"));
        assert!(!wants(
            Dialect::Vzaps,
            &["All"],
            "postrider.endpoint.failing"
        ));
        assert!(!wants(
            Dialect::Postrider,
            &["message.exchange"],
            "messages.upsert"
        ));
        assert!(wants(Dialect::Ryze, &["order.paid"], "order.paid"));
        assert!(wants(Dialect::Ryze, &[], "order.paid"));
    }
}
