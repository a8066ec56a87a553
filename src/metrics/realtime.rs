//! The realtime role: who is connected, what they are sent, and how far the tail is.

use super::registry::{Family, Label, Registry};
use super::{Counter, Gauge, Histogram};

/// The realtime role.
#[derive(Debug)]
pub struct Realtime {
    /// Open connections.
    pub connections: Family<Door, Gauge>,
    /// Events sent.
    pub messages: Family<Door, Counter>,
    /// Bytes sent, of events and of everything else.
    pub sent_bytes: Family<Door, Counter>,
    /// Connections that are over.
    pub closes: Family<Ending, Counter>,
    /// Connections that went on from somewhere.
    pub resumes: Family<Resume, Counter>,
    /// From the beginning of the transaction that emitted an event to its reading, by the database's clock.
    pub lag_seconds: Histogram,
    /// For how long the log could not be followed.
    pub tail_behind_seconds: Gauge,
    /// Times events had been removed before the tail read them.
    pub tail_gaps: Counter,
}

/// Through which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Our own stream, as a WebSocket.
    Stream,
    /// The same as server-sent events.
    Sse,
    /// `RyzeAPI`'s socket.
    Ryze,
    /// The one of `VZaps`.
    Vzaps,
    /// Evolution API's Socket.IO.
    SocketIo,
    /// Its bare WebSocket.
    Evolution,
    /// One without a name here.
    Other,
}

impl Door {
    /// By the name the door calls itself.
    pub fn of(name: &str) -> Self {
        let mut all = Self::ALL.iter().copied();
        all.find(|door| door.name() == name).unwrap_or(Self::Other)
    }
}

impl Label for Door {
    const KEY: &'static str = "door";
    const ALL: &'static [Self] = &[
        Self::Stream,
        Self::Sse,
        Self::Ryze,
        Self::Vzaps,
        Self::SocketIo,
        Self::Evolution,
        Self::Other,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Sse => "sse",
            Self::Ryze => "ryze",
            Self::Vzaps => "vzaps",
            Self::SocketIo => "socket.io",
            Self::Evolution => "evolution",
            Self::Other => "other",
        }
    }
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client closed it, or is gone.
    Left,
    /// What the client sent was against the protocol.
    Protocol,
    /// It gave no sign of life.
    Silent,
    /// The process ends.
    Restart,
    /// The database is away.
    Unavailable,
    /// Events it had not got were removed.
    Expired,
    /// It was too far behind.
    Slow,
    /// An operator ended it.
    Kicked,
    /// Another connection took its place.
    Replaced,
    /// Its token is no longer good.
    Unauthorized,
    /// Its instance was deleted.
    NoInstance,
}

impl Label for Ending {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::Left,
        Self::Protocol,
        Self::Silent,
        Self::Restart,
        Self::Unavailable,
        Self::Expired,
        Self::Slow,
        Self::Kicked,
        Self::Replaced,
        Self::Unauthorized,
        Self::NoInstance,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Protocol => "protocol",
            Self::Silent => "silent",
            Self::Restart => "restart",
            Self::Unavailable => "unavailable",
            Self::Expired => "expired",
            Self::Slow => "slow",
            Self::Kicked => "kicked",
            Self::Replaced => "replaced",
            Self::Unauthorized => "unauthorized",
            Self::NoInstance => "no_instance",
        }
    }
}

/// Where what a connection missed came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// From memory.
    Ring,
    /// From the table.
    Table,
    /// Some of it was gone, and the client was told so.
    Gap,
}

impl Label for Resume {
    const KEY: &'static str = "from";
    const ALL: &'static [Self] = &[Self::Ring, Self::Table, Self::Gap];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Table => "table",
            Self::Gap => "gap",
        }
    }
}

impl Realtime {
    /// Registers them.
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            connections: registry.family(
                "postrider_realtime_connections",
                "Open connections of this process, by door; one that hears several instances is one.",
            ),
            messages: registry.family(
                "postrider_realtime_messages_total",
                "Events sent to connections, by door.",
            ),
            sent_bytes: registry.family(
                "postrider_realtime_sent_bytes_total",
                "Bytes sent to connections, by door: what is written to a WebSocket after its upgrade, and the bodies of server-sent events and of what is answered to Socket.IO clients that poll; HTTP heads and TLS are left out.",
            ),
            closes: registry.family(
                "postrider_realtime_closes_total",
                "Connections that are over, by why.",
            ),
            resumes: registry.family(
                "postrider_realtime_resumes_total",
                "Connections that went on from a place, by where what they missed came from; gap: some of it was gone.",
            ),
            lag_seconds: registry.one(
                "postrider_realtime_lag_seconds",
                "From the beginning of the transaction that emitted an event to its reading for the sockets.",
            ),
            tail_behind_seconds: registry.one(
                "postrider_realtime_tail_behind_seconds",
                "For how long the event log has not been read to its end; 0 while nobody is connected.",
            ),
            tail_gaps: registry.one(
                "postrider_realtime_tail_gaps_total",
                "Times events had been removed before they were read for the sockets.",
            ),
        }
    }
}
