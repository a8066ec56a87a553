//! Why the server closes a connection: the codes, and what a client should do then.

use bytes::Bytes;

use super::wire::frame;
use crate::metrics::Ending;

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client closed, with this code: it is answered with the same.
    Left(Option<u16>),
    /// What it sent is against the protocol.
    Protocol(u16, &'static str),
    /// No sign of life.
    Silent,
    /// The process ends. Reconnect at once, with the cursor.
    Restart,
    /// The database is away, so that the stream cannot be resumed. Reconnect later, with the cursor.
    Unavailable,
    /// Events it has not got have been removed. Reconnect with `from=earliest`, or without a cursor.
    Expired,
    /// More events wait for it than it may be behind. Reconnect with the cursor.
    Slow,
    /// An operator ended it.
    Kicked,
    /// Another connection of the same consumer took its place. Do not reconnect.
    Replaced,
    /// Its token was revoked, or has expired. Reconnect with another one.
    Unauthorized,
    /// Its instance was deleted. Do not reconnect.
    NoInstance,
}

impl Close {
    /// As a frame.
    pub(super) fn frame(self) -> Bytes {
        match self {
            // Who gives no reason is given none.
            Self::Left(None) => frame::frame(frame::CLOSE, b""),
            _ => frame::close(self.code(), self.reason()),
        }
    }

    /// The close code.
    pub fn code(self) -> u16 {
        match self {
            Self::Left(code) => code.unwrap_or(1000),
            Self::Protocol(code, _) => code,
            Self::Silent => 1001,
            Self::Kicked => 1008,
            Self::Restart => 1012,
            Self::Unavailable => 1013,
            Self::Unauthorized => 4401,
            Self::NoInstance => 4404,
            Self::Replaced => 4409,
            Self::Expired => 4410,
            Self::Slow => 4413,
        }
    }

    /// As it is counted.
    pub(super) fn ending(self) -> Ending {
        match self {
            Self::Left(_) => Ending::Left,
            Self::Protocol(..) => Ending::Protocol,
            Self::Silent => Ending::Silent,
            Self::Restart => Ending::Restart,
            Self::Unavailable => Ending::Unavailable,
            Self::Expired => Ending::Expired,
            Self::Slow => Ending::Slow,
            Self::Kicked => Ending::Kicked,
            Self::Replaced => Ending::Replaced,
            Self::Unauthorized => Ending::Unauthorized,
            Self::NoInstance => Ending::NoInstance,
        }
    }

    /// In words; with what to do.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Left(_) => "",
            Self::Protocol(_, reason) => reason,
            Self::Silent => "no pong for too long",
            Self::Restart => "restarting: reconnect with the last cursor",
            Self::Unavailable => "the database is away: reconnect later with the last cursor",
            Self::Expired => {
                "events were removed before they were sent: reconnect with from=earliest"
            }
            Self::Slow => "too many events behind: reconnect with the last cursor",
            Self::Kicked => "ended by the operator",
            Self::Replaced => "another connection of this consumer took over",
            Self::Unauthorized => "the token is no longer good: reconnect with another one",
            Self::NoInstance => "the instance was deleted",
        }
    }
}
