//! Whose API and envelope an endpoint speaks. Pure: names, suffixes and envelopes.
//!
//! One file a dialect. To add one: a variant, its name, and its arm in [`Dialect::suffix`] and [`envelope`]; the compiler
//! names the places.

mod json;
mod postrider;
mod ryze;

use std::borrow::Cow;

use bytes::Bytes;
use time::OffsetDateTime;
use url::Url;

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Our own.
    Postrider,
    /// RyzeAPI.
    Ryze,
}

/// A name that no dialect has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no dialect `{0}`; there are: postrider, ryze")]
pub struct UnknownDialect(String);

/// What an envelope may carry. `data` is the event's JSON body, whose bytes are kept as they are.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The event, as receivers see it.
    pub event_id: &'a str,
    /// As it was emitted.
    pub event_type: &'a str,
    /// The instance's name.
    pub instance: &'a str,
    /// The instance's own token, where it has one. In clear: the envelope is on its way out.
    pub instance_token: Option<&'a str>,
    /// `http.public_url`: where the instance's API is reached from outside.
    pub base_url: &'a str,
    /// When the event happened.
    pub occurred_at: OffsetDateTime,
    /// The event's JSON body.
    pub data: &'a [u8],
}

impl Dialect {
    /// All of them, for configuration and help.
    pub const ALL: [Self; 2] = [Self::Postrider, Self::Ryze];

    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postrider => "postrider",
            Self::Ryze => "ryze",
        }
    }

    /// Whether its envelope carries the instance's own token.
    pub fn sends_instance_token(self) -> bool {
        match self {
            Self::Postrider => false,
            Self::Ryze => true,
        }
    }

    /// What `byEvents` appends to the URL's path as a segment of its own, not yet percent-encoded.
    pub fn suffix(self, event_type: &str) -> Cow<'_, str> {
        match self {
            Self::Postrider | Self::Ryze => Cow::Borrowed(event_type),
        }
    }

    /// `base` with the event's suffix: on the path, before the query, with one slash between, percent-encoded so that it stays
    /// one segment. (`.` and `..` can be no segment and add nothing.)
    pub fn url_by_event(self, base: &Url, event_type: &str) -> Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(&self.suffix(event_type));
        }
        url
    }
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

/// The body that receivers of `dialect` expect around an event's data.
pub fn envelope(dialect: Dialect, parts: &Parts<'_>) -> Bytes {
    match dialect {
        Dialect::Postrider => postrider::envelope(parts),
        Dialect::Ryze => ryze::envelope(parts),
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
                let url = dialect.url_by_event(&base.parse().unwrap(), event_type);
                assert_eq!(url.as_str(), expected);
            }
        };
        check(
            "https://a.example/wh",
            "message.exchange",
            "https://a.example/wh/message.exchange",
        );
        check(
            "https://a.example/wh/",
            "message.exchange",
            "https://a.example/wh/message.exchange",
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
}
