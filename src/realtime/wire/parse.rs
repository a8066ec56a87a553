//! What a client sends: frames, read as they come, with every rule of RFC 6455 that a server has to hold them to.

use super::deflate::{Unreadable, decompressed};
use super::frame::{CLOSE, COMPRESSED, PING, PONG, TEXT};

/// A binary message.
const BINARY: u8 = 0x2;
/// The rest of a fragmented message.
const CONTINUATION: u8 = 0x0;

/// A whole message, or a control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, whole.
    Text(String),
    /// Bytes, whole.
    Binary(Vec<u8>),
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// The client closes, with this code.
    Close(Option<u16>),
}

/// Why a connection is closed because of what its client sent: the close code, and what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// Protocol (1002), text that is none (1007), or too long (1009).
    pub code: u16,
    /// In words.
    pub reason: &'static str,
}

/// Against the protocol.
const fn protocol(reason: &'static str) -> Violation {
    Violation { code: 1002, reason }
}

/// Not UTF-8.
const NOT_TEXT: Violation = Violation {
    code: 1007,
    reason: "a text message is not UTF-8",
};

/// Longer than it may be.
const TOO_LONG: Violation = Violation {
    code: 1009,
    reason: "the message is too long",
};
/// Compressed, and not as agreed.
const NOT_COMPRESSED: Violation = Violation {
    code: 1007,
    reason: "a compressed message cannot be read",
};

/// What has been read of messages that are not whole yet. Empty most of the time, and then it holds no memory.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes that are no whole frame yet.
    pending: Vec<u8>,
    /// A message of which fragments have come: its kind and they.
    fragments: Option<(u8, Vec<u8>)>,
    /// How many bytes of a text have been found good.
    good: usize,
    /// Messages may come compressed.
    compressed: bool,
}

/// The head of a frame.
struct Head {
    finished: bool,
    /// With the bit of a compressed message, which only its first frame has.
    kind: u8,
    opcode: u8,
    mask: [u8; 4],
    length: usize,
    /// Bytes of the head itself.
    size: usize,
}

impl Parser {
    /// Of a connection on which messages may come compressed, or may not.
    pub fn new(compressed: bool) -> Self {
        Self {
            compressed,
            ..Self::default()
        }
    }

    /// Nothing is half read.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.fragments.is_none()
    }

    /// Takes in bytes, and hands out what became whole, until something is wrong.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        mut on: impl FnMut(Message),
    ) -> Result<(), Violation> {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        let fed = loop {
            match self.next(at, bytes_max) {
                Ok(Some((message, size))) => {
                    at += size;
                    if let Some(message) = message {
                        on(message);
                    }
                }
                Ok(None) => break Ok(()),
                Err(violation) => break Err(violation),
            }
        };
        self.pending.drain(..at);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        fed
    }

    /// The frame at this place, and how long it is; none while it is not whole.
    fn next(
        &mut self,
        at: usize,
        bytes_max: usize,
    ) -> Result<Option<(Option<Message>, usize)>, Violation> {
        let Some(head) = head(&self.pending[at..], self.compressed)? else {
            return Ok(None);
        };
        self.check(&head, bytes_max)?;
        let body = at + head.size;
        let available = &self.pending[body..];
        if available.len() < head.length {
            self.check_early(&head, body)?;
            return Ok(None);
        }
        let mut payload = available[..head.length].to_vec();
        for (place, byte) in payload.iter_mut().enumerate() {
            *byte ^= head.mask[place % 4];
        }
        let message = self.take(&head, payload, bytes_max)?;
        Ok(Some((message, head.size + head.length)))
    }

    /// What can be said of a frame by its head.
    fn check(&self, head: &Head, bytes_max: usize) -> Result<(), Violation> {
        match (head.opcode, &self.fragments) {
            (CONTINUATION, None) => Err(protocol("a continuation of nothing")),
            (TEXT | BINARY, Some(_)) => Err(protocol("a new message inside a fragmented one")),
            (CLOSE | PING | PONG, _) if !head.finished => {
                Err(protocol("a fragmented control frame"))
            }
            (CLOSE | PING | PONG, _) if head.length > 125 => {
                Err(protocol("a control frame of more than 125 bytes"))
            }
            (CONTINUATION | TEXT | BINARY, fragments) => {
                let before = fragments.as_ref().map_or(0, |(_, bytes)| bytes.len());
                if before.saturating_add(head.length) > bytes_max {
                    return Err(TOO_LONG);
                }
                Ok(())
            }
            (CLOSE | PING | PONG, _) => Ok(()),
            _ => Err(protocol("an unknown opcode")),
        }
    }

    /// Text that is wrong is refused before the rest of its frame has come.
    fn check_early(&self, head: &Head, body: usize) -> Result<(), Violation> {
        let kind = match (head.opcode, &self.fragments) {
            (CONTINUATION, Some((kind, _))) => *kind,
            _ => head.kind,
        };
        // What is compressed shows nothing before it is whole.
        if kind != TEXT {
            return Ok(());
        }
        let mut text = self
            .fragments
            .as_ref()
            .map_or(Vec::new(), |(_, bytes)| bytes[self.good..].to_vec());
        let part = self.pending[body..].iter().enumerate();
        text.extend(part.map(|(place, byte)| byte ^ head.mask[place % 4]));
        good_text(&text).map(drop)
    }

    /// A whole frame: perhaps a whole message.
    fn take(
        &mut self,
        head: &Head,
        payload: Vec<u8>,
        bytes_max: usize,
    ) -> Result<Option<Message>, Violation> {
        match head.opcode {
            PING => return Ok(Some(Message::Ping(payload))),
            PONG => return Ok(Some(Message::Pong)),
            CLOSE => return closed(&payload).map(|code| Some(Message::Close(code))),
            _ => {}
        }
        let (kind, mut bytes) = self.fragments.take().unwrap_or((head.kind, Vec::new()));
        bytes.extend(payload);
        if kind == TEXT {
            self.good += good_text(&bytes[self.good..])?;
        }
        if !head.finished {
            self.fragments = Some((kind, bytes));
            return Ok(None);
        }
        self.good = 0;
        if kind & COMPRESSED != 0 {
            bytes = decompressed(&bytes, bytes_max).map_err(|unreadable| match unreadable {
                Unreadable::TooLong => TOO_LONG,
                Unreadable::Broken => NOT_COMPRESSED,
            })?;
        }
        Ok(Some(if kind & !COMPRESSED == TEXT {
            Message::Text(String::from_utf8(bytes).map_err(|_| NOT_TEXT)?)
        } else {
            Message::Binary(bytes)
        }))
    }
}

/// The head of the frame that begins here; none while it is not whole.
fn head(bytes: &[u8], compressed: bool) -> Result<Option<Head>, Violation> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let opcode = first & 0x0f;
    // One of them, where it was agreed upon, on the first frame of a message.
    let may_have = if compressed && matches!(opcode, TEXT | BINARY) {
        COMPRESSED
    } else {
        0
    };
    if first & 0x70 & !may_have != 0 {
        return Err(protocol("reserved bits are set"));
    }
    if second & 0x80 == 0 {
        return Err(protocol("a frame of a client is not masked"));
    }
    let (length, extended) = match second & 0x7f {
        126 => match rest.first_chunk::<2>() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length), 8),
            None => return Ok(None),
        },
        short => (u64::from(short), 0),
    };
    let Some(mask) = rest.get(extended..).and_then(<[u8]>::first_chunk::<4>) else {
        return Ok(None);
    };
    Ok(Some(Head {
        finished: first & 0x80 != 0,
        kind: first & (COMPRESSED | 0x0f),
        opcode,
        mask: *mask,
        length: usize::try_from(length).unwrap_or(usize::MAX),
        size: 2 + extended + 4,
    }))
}

/// How much of it is whole characters; the rest may be the beginning of one.
fn good_text(bytes: &[u8]) -> Result<usize, Violation> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(NOT_TEXT),
    }
}

/// The code of a close frame.
fn closed(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(protocol("a close frame of one byte")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(protocol("a close code that may not be sent"));
    }
    std::str::from_utf8(reason).map_err(|_| NOT_TEXT)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::{Message, Parser, Violation};

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = vec![first];
        if payload.len() < 126 {
            bytes.push(0x80 | u8::try_from(payload.len()).unwrap());
        } else {
            bytes.push(0x80 | 0x7e);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
        bytes.extend(mask);
        bytes.extend(
            payload
                .iter()
                .enumerate()
                .map(|(place, byte)| byte ^ mask[place % 4]),
        );
        bytes
    }

    /// What comes of these bytes, in pieces of one size.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Message>, Violation> {
        let (mut parser, mut messages) = (Parser::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            parser.feed(piece, 1000, |message| messages.push(message))?;
        }
        assert!(parser.is_idle());
        Ok(messages)
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let mut bytes = frame(0x81, "hé".as_bytes());
        bytes.extend(frame(0x01, &"é".as_bytes()[..1]));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x00, &"é".as_bytes()[1..]));
        bytes.extend(frame(0x80, b""));
        bytes.extend(frame(0x82, &[7; 300]));
        bytes.extend(frame(0x8a, b""));
        bytes.extend(frame(0x88, &[0x03, 0xe8]));
        let expected = vec![
            Message::Text("hé".into()),
            Message::Ping(b"ping".to_vec()),
            Message::Text("é".into()),
            Message::Binary(vec![7; 300]),
            Message::Pong,
            Message::Close(Some(1000)),
        ];
        for piece in [1, 2, 3, 7, bytes.len()] {
            assert_eq!(
                read(&bytes, piece),
                Ok(expected.clone()),
                "in pieces of {piece}"
            );
        }
    }

    #[test]
    fn what_is_against_the_rules_is_refused_with_the_code_for_it() {
        let check = |bytes: &[u8], code: u16| {
            for piece in [1, bytes.len()] {
                let refused = read(bytes, piece).map_err(|violation| violation.code);
                assert_eq!(refused, Err(code), "{bytes:x?}");
            }
        };
        check(&[0x81, 0x01, b'x'], 1002); // not masked
        check(&frame(0xc1, b"x"), 1002); // a reserved bit
        check(&frame(0x83, b"x"), 1002); // opcodes without a meaning
        check(&frame(0x8b, b"x"), 1002);
        check(&frame(0x80, b"x"), 1002); // a continuation of nothing
        check(&[frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002);
        check(&frame(0x09, b"x"), 1002); // a fragmented ping
        check(&frame(0x89, &[0; 126]), 1002);
        check(&frame(0x88, &[3]), 1002);
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            check(&frame(0x88, &code.to_be_bytes()), 1002);
        }
        check(&frame(0x88, &[0x03, 0xe8, 0xff]), 1007);
        check(&frame(0x81, &[0xce, 0xba, 0xed, 0xa0, 0x80]), 1007); // a surrogate
        check(&frame(0x81, &[0xf4, 0x90, 0x80, 0x80]), 1007); // past the last character
        check(&frame(0x82, &[0; 1001]), 1009);
        check(
            &[frame(0x02, &[0; 600]), frame(0x80, &[0; 600])].concat(),
            1009,
        );
    }

    #[test]
    fn wrong_text_is_refused_before_its_frame_has_ended() {
        let whole = frame(0x81, &[b'a', 0xff, b'b', b'c', b'd', b'e']);
        let mut parser = Parser::default();
        let refused = parser.feed(&whole[..8], 1000, |_| {});
        assert_eq!(refused.map_err(|violation| violation.code), Err(1007));
    }

    #[test]
    fn a_text_that_ends_within_a_character_is_refused() {
        let refused = read(&frame(0x81, &[0xce]), 100).map_err(|violation| violation.code);
        assert_eq!(refused, Err(1007));
    }
}
