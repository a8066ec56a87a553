//! An endpoint: who wants to know, and how they are told.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::crypto::SigningSecret;
use crate::dialect::{Dialect, Identity};

/// How a delivery leaves the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// An HTTP POST.
    Webhook,
}

impl Channel {
    /// The name used in tables, metrics and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
        }
    }
}

/// Whether an endpoint is given its deliveries now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// Rows are queued and delivered.
    Enabled,
    /// Rows are queued and held, until the endpoint returns: a 410, or days of unbroken failure.
    Paused,
    /// Switched off by its owner: no new rows, the pending ones held.
    Disabled,
}

/// A row of `postrider.schedules`: when to try again, and when to stop.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its name, as endpoints refer to it.
    pub name: String,
    /// The wait after failure 1, 2, 3 …; the last entry repeats. Never empty.
    pub waits: Vec<Duration>,
    /// Jitter as a share of the wait, 0.0 to 1.0.
    pub jitter: f64,
    /// Whether jitter may also shorten the wait (only the `evolution` preset does).
    pub jitter_both_ways: bool,
    /// Statuses after which there is no second try.
    pub final_statuses: Vec<u16>,
}

/// One custom request header. The value may be a credential and is treated as one.
#[derive(Debug, Clone)]
pub struct Header {
    /// The field's name, lower case.
    pub name: http::HeaderName,
    /// The field's value, marked sensitive so that `Debug` does not show it.
    pub value: http::HeaderValue,
}

/// An endpoint as a worker uses it: secrets opened, defaults applied.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `postrider.endpoints.id`.
    pub id: i64,
    /// Rises with every change of the row, of its instance or of its schedule.
    pub version: i64,
    /// The instance that owns it.
    pub instance: String,
    /// What else envelopes tell of it.
    pub identity: Identity,
    /// The owner's name for it, unique within the instance.
    pub label: String,
    /// How deliveries go out.
    pub channel: Channel,
    /// Whose envelope they wear.
    pub dialect: Dialect,
    /// Where they go, without an event suffix.
    pub url: Url,
    /// The same as its owner wrote it, which is how rows carry it.
    pub url_text: String,
    /// Whether the dialect's event suffix is appended to `url`.
    pub by_events: bool,
    /// Whether it asked for media as base64: what an event gives by URL alone is fetched for it.
    pub fetches_media: bool,
    /// The full value of the `Authorization` header.
    pub authorization: Option<http::HeaderValue>,
    /// Sent with every attempt, verbatim.
    pub headers: Vec<Header>,
    /// Newest first; several during a rotation; empty where deliveries are not signed.
    pub signing: Vec<SigningSecret>,
    /// The whole attempt, connect and body included.
    pub timeout: Duration,
    /// How many attempts may be in flight in one worker.
    pub in_flight_max: u32,
    /// When to try again.
    pub schedule: std::sync::Arc<Schedule>,
    /// Whether deliveries go out now.
    pub state: EndpointState,
    /// The instance's own token, for envelopes that carry it.
    pub instance_token: Option<SecretString>,
    /// Why it cannot be used as it is: a stored secret that could not be opened (a lost key), a URL that is none. Such an
    /// endpoint is not sent to; its deliveries wait.
    pub sealed_shut: Option<String>,
}
