//! The forms in which an event leaves: one finished frame each, made when the first connection needs it.
//!
//! To add one: a variant, a place in [`Flavor::ALL`], and its arm in [`Flavor::frame`].

use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;

use super::vzaps;
use super::wire::frame::{TEXT, frame};
use crate::db::tail::Event;
use crate::dialect::{Dialect, Identity, Parts, envelope};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// Our own, with the cursor; a WebSocket frame.
    Stream,
    /// The same as a server-sent event.
    Sse,
    /// RyzeAPI's envelope; base64 media left out.
    Ryze,
    /// The same with media.
    RyzeMedia,
    /// RyzeAPI's envelope with a cursor; base64 media left out.
    RyzeResume,
    /// The same with media.
    RyzeMediaResume,
    /// An event as `VZaps` clients take it.
    Vzaps,
    /// Evolution API's envelope; a WebSocket frame.
    Evolution,
    /// The same for Socket.IO: the event's name, a NUL, and the envelope.
    SocketIo,
    /// Evolution API's envelope with a cursor; a WebSocket frame.
    EvolutionResume,
    /// The same for Socket.IO.
    SocketIoResume,
}

/// What envelopes tell of an instance.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What else is known of it.
    pub identity: Identity,
    /// Its own token, in clear.
    pub token: Option<String>,
    /// Whether Evolution API's envelope shows it.
    pub shows_token: bool,
    /// How the API is reached.
    pub base_url: String,
    /// When the instance last changed: what is older does not take the place of what is newer.
    pub changed_at: OffsetDateTime,
}

impl Profile {
    /// Of no instance.
    pub(super) fn nobody() -> Self {
        Self {
            name: String::new(),
            identity: Identity::default(),
            token: None,
            shows_token: false,
            base_url: String::new(),
            changed_at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

impl Flavor {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Stream,
        Self::Sse,
        Self::Ryze,
        Self::RyzeMedia,
        Self::RyzeResume,
        Self::RyzeMediaResume,
        Self::Vzaps,
        Self::Evolution,
        Self::SocketIo,
        Self::EvolutionResume,
        Self::SocketIoResume,
    ];

    /// Whose names for events its clients use.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Stream | Self::Sse => Dialect::Postrider,
            Self::Ryze | Self::RyzeMedia | Self::RyzeResume | Self::RyzeMediaResume => {
                Dialect::Ryze
            }
            Self::Vzaps => Dialect::Vzaps,
            Self::Evolution | Self::SocketIo | Self::EvolutionResume | Self::SocketIoResume => {
                Dialect::Evolution
            }
        }
    }

    /// The finished frame of an event; `cursor` is where a reader is after it.
    pub fn frame(self, event: &Event, profile: &Profile, cursor: &str) -> Bytes {
        if self == Self::Vzaps {
            return vzaps::event_frame(event, profile);
        }
        let body = self.body(event, profile);
        match self {
            Self::Sse => sse(&body, cursor),
            Self::Stream | Self::RyzeResume | Self::RyzeMediaResume | Self::EvolutionResume => {
                frame(TEXT, &with_cursor(&body, cursor))
            }
            Self::SocketIo => packet(Dialect::Evolution.name(&event.event_type), &body),
            Self::SocketIoResume => {
                let name = Dialect::Evolution.name(&event.event_type);
                packet(name, &with_cursor(&body, cursor))
            }
            Self::Ryze | Self::RyzeMedia | Self::Vzaps | Self::Evolution => frame(TEXT, &body),
        }
    }

    /// Tells a client where it is, where there is a way to tell it.
    pub(super) fn position(self, position: &str) -> Option<Bytes> {
        match self {
            Self::Stream | Self::EvolutionResume => Some(frame(TEXT, position.as_bytes())),
            Self::SocketIoResume => Some(packet("position", position.as_bytes())),
            _ => None,
        }
    }

    /// The envelope.
    fn body(self, event: &Event, profile: &Profile) -> Bytes {
        let id = event.public_id();
        let lean;
        let data = match self {
            Self::Ryze | Self::RyzeResume => {
                lean = without_media(&event.data);
                lean.as_deref().unwrap_or(&event.data)
            }
            _ => &event.data,
        };
        let dialect = self.dialect();
        let token = profile.token.as_deref();
        envelope(
            dialect,
            &Parts {
                event_id: &id,
                event_type: &event.event_type,
                instance: &profile.name,
                identity: &profile.identity,
                instance_token: token
                    .filter(|_| dialect != Dialect::Evolution || profile.shows_token),
                sender: event.sender.as_deref(),
                base_url: &profile.base_url,
                destination: "",
                occurred_at: event.occurred_at,
                data,
            },
        )
    }
}

/// The envelope, an object, with one key more. A cursor has no character that JSON would escape.
fn with_cursor(body: &[u8], cursor: &str) -> Vec<u8> {
    let inner = body.strip_suffix(b"}").unwrap_or(body);
    [inner, br#","cursor":""#, cursor.as_bytes(), br#""}"#].concat()
}

/// An event of Socket.IO, to be emitted.
fn packet(name: &str, body: &[u8]) -> Bytes {
    [name.as_bytes(), b"\0", body].concat().into()
}

/// A server-sent event. Data may be of several lines: each is one of the event's.
fn sse(body: &[u8], cursor: &str) -> Bytes {
    let mut out = format!("id: {cursor}\n").into_bytes();
    for line in body.split(|&byte| byte == b'\n' || byte == b'\r') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    out.into()
}

/// The data without base64 media, in the places where `postrider.without_media_base64` removes it; none where it has none.
pub(super) fn without_media(data: &[u8]) -> Option<Vec<u8>> {
    let marker = br#""base64""#;
    data.windows(marker.len()).find(|window| window == marker)?;
    let mut value: Value = serde_json::from_slice(data).ok()?;
    for path in ["/message/media", "/media", "/message"] {
        if let Some(Value::Object(media)) = value.pointer_mut(path) {
            media.remove("base64");
        }
    }
    serde_json::to_vec(&value).ok()
}

#[cfg(test)]
mod tests {
    use super::{sse, with_cursor, without_media};

    #[test]
    fn a_cursor_is_one_key_more() {
        assert_eq!(
            with_cursor(br#"{"a":{}}"#, "AbC-_"),
            br#"{"a":{},"cursor":"AbC-_"}"#
        );
    }

    #[test]
    fn data_of_several_lines_stays_one_event() {
        let event = sse(b"{\n \"a\":1}", "C");
        assert_eq!(&event[..], b"id: C\ndata: {\ndata:  \"a\":1}\n\n");
    }

    #[test]
    fn media_is_left_out_where_it_is_media() {
        let check = |data: &str, expected: Option<&str>| {
            let lean =
                without_media(data.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(lean.as_deref(), expected);
        };
        check(
            r#"{"message":{"media":{"base64":"x","url":"u"}}}"#,
            Some(r#"{"message":{"media":{"url":"u"}}}"#),
        );
        check(r#"{"text":"base64"}"#, Some(r#"{"text":"base64"}"#));
        check(r#"{"text":"hi"}"#, None);
    }
}
