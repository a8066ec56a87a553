//! Why the server closes a connection: the codes, and what a client should do then.

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client closed, or left.
    Normal,
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
}

impl Close {
    /// The close code.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol(code, _) => code,
            Self::Silent => 1001,
            Self::Kicked => 1008,
            Self::Restart => 1012,
            Self::Unavailable => 1013,
            Self::Replaced => 4409,
            Self::Expired => 4410,
            Self::Slow => 4413,
        }
    }

    /// In words; with what to do.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
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
        }
    }
}
