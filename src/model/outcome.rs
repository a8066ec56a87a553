//! What comes of an attempt. Not being delivered is data, not an error.

use std::time::Duration;

use bytes::Bytes;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The far side took it.
    Delivered(Receipt),
    /// It did not, or we cannot know.
    Failed(Failure),
}

/// The far side's confirmation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Receipt {
    /// The HTTP status, where there is one.
    pub status: Option<u16>,
    /// The first bytes of the response, capped.
    pub response: Bytes,
    /// What it says about the endpoint as a whole: a 2xx may carry `webhook-delivery: disable`.
    pub verdict: Verdict,
}

/// Why an attempt failed, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The kind of failure; also a metric label.
    pub class: Class,
    /// The HTTP status, where one arrived.
    pub status: Option<u16>,
    /// One line for `last_error`: what happened and, where it is known, the remedy. Never a secret.
    pub detail: String,
    /// The first bytes of the response, capped.
    pub response: Bytes,
    /// Whether and when to try again.
    pub retry: Retry,
    /// What it says about the endpoint as a whole.
    pub verdict: Verdict,
}

/// Whether and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// As the endpoint's schedule says.
    OnSchedule,
    /// The later of the schedule and this wait (`Retry-After`, capped).
    NotBefore {
        /// From the end of the attempt.
        wait: Duration,
        /// False for 429 and 503 with a hint: no attempt is spent.
        spends_attempt: bool,
    },
    /// It cannot succeed, or the receiver asked to drop it.
    Never,
}

/// What an attempt says about the endpoint as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Nothing: a delivery, or an ordinary failure.
    #[default]
    None,
    /// It is overloaded or gone quiet: 429, 502, 503, 504, timeouts, refused connections.
    SlowDown,
    /// It asked not to be sent to any more: 410, `webhook-delivery: disable`.
    Pause,
}

/// The kinds of failure, of bounded number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The egress rules forbid the address.
    Egress,
    /// The name does not resolve.
    Dns,
    /// No connection.
    Connect,
    /// TLS: certificate or handshake.
    Tls,
    /// Not finished by the deadline.
    Timeout,
    /// Not HTTP, or cut off.
    Protocol,
    /// A 3xx, never followed.
    Redirect,
    /// A 4xx.
    Client,
    /// A 5xx.
    Server,
    /// 410.
    Gone,
    /// The receiver asked to drop it, or a schedule lists its status as final.
    Rejected,
    /// It cannot be sent as configured: bad URL, unreadable secret, too large for the channel.
    Configuration,
    /// The handler panicked, or the worker died with it ten times.
    Crash,
}

impl Class {
    /// All classes, for metrics.
    pub const ALL: [Self; 13] = [
        Self::Egress,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Protocol,
        Self::Redirect,
        Self::Client,
        Self::Server,
        Self::Gone,
        Self::Rejected,
        Self::Configuration,
        Self::Crash,
    ];

    /// The name used in the attempt log and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Client => "client",
            Self::Server => "server",
            Self::Gone => "gone",
            Self::Rejected => "rejected",
            Self::Configuration => "configuration",
            Self::Crash => "crash",
        }
    }
}
