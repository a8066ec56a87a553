//! A delivery (one event for one endpoint) and its attempts.
//!
//! ```mermaid
//! stateDiagram-v2
//!     [*] --> pending : emit, capture, direct insert
//!     pending --> pending : claimed (a lease), returned, retried
//!     pending --> delivered : 2xx
//!     pending --> failed : attempts used up, or never to be tried again
//!     failed --> pending : re-queued by an operator, a full new cycle
//!     delivered --> pending : resent by an operator
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use super::Outcome;
use super::{Channel, Endpoint};

/// Who holds a delivery: the fencing token that every write ending the lease must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// `webhook_queue.id`.
    pub delivery: i64,
    /// Random, one for each claimed batch.
    pub token: i64,
}

/// A claimed row of `webhook_queue`.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The row and the right to finish it.
    pub lease: Lease,
    /// What fairness and the breaker go by: the endpoint, or a negative hash of instance and URL.
    pub target: i64,
    /// Its hash lane, 0 to 63.
    pub lane: i16,
    /// The event, as receivers see it: `evt_…`, or `row-<id>` for a row without one.
    pub event_id: String,
    /// Its event type, as it was emitted.
    pub event_type: String,
    /// The instance's name.
    pub instance: String,
    /// Who sent it, where that was said with it.
    pub sender: Option<String>,
    /// How it goes.
    pub channel: Channel,
    /// The endpoint it is for; none for a row inserted directly.
    pub endpoint_id: Option<i64>,
    /// The endpoint's version when the row was claimed.
    pub endpoint_version: Option<i64>,
    /// The row's own URL; used only where there is no endpoint.
    pub url: String,
    /// The row's own `Authorization` as stored (sealed or plain); used only where there is no endpoint.
    pub auth_header: Option<String>,
    /// The event's JSON body, shaped for its endpoint.
    pub payload: Bytes,
    /// When the event happened.
    pub occurred_at: OffsetDateTime,
    /// From the row's creation to this claim, by the database's clock.
    pub age: Duration,
    /// Leases that expired over it since its last completed attempt.
    pub crashes: u32,
    /// Attempts completed in this cycle.
    pub attempts: u32,
    /// The row's limit.
    pub attempts_max: u32,
    /// From the first attempt of this cycle to this claim; none before it.
    pub since_first_attempt: Option<Duration>,
    /// Whether it was tried, or sent anew by an operator, since it was queued.
    pub is_again: bool,
}

/// What a channel needs for one attempt. It never sees the database.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The same over attempts and replays; never contains a dot.
    pub event_id: String,
    /// As it was emitted.
    pub event_type: String,
    /// The instance's name.
    pub instance: String,
    /// Who sent the event, where that was said with it.
    pub sender: Option<String>,
    /// When the event happened.
    pub occurred_at: OffsetDateTime,
    /// 1 for the first attempt of a cycle.
    pub attempt: u32,
    /// The event's JSON body; the whole request body where there is no endpoint.
    pub payload: Bytes,
    /// Where it goes.
    pub to: Destination,
    /// What is left for this attempt: connect, request, response and body.
    pub deadline: tokio::time::Instant,
}

/// Where a parcel goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// To an endpoint, in its envelope and with its credentials.
    Endpoint(Arc<Endpoint>),
    /// To a URL, as it stands: a row without an endpoint.
    Direct {
        /// The final URL.
        url: String,
        /// The full `Authorization` header.
        authorization: Option<http::HeaderValue>,
    },
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Done.
    Delivered,
    /// To be tried again after this wait. `spent` tells whether the attempt counts.
    Retry {
        /// From now, by the database's clock.
        wait: Duration,
        /// Whether it counts against `max_attempts`.
        spent: bool,
    },
    /// Into the dead-letter queue.
    Failed,
}

/// One finished try, on its way to the attempt log.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The row and the right to finish it.
    pub lease: Lease,
    /// Whether the row shows a URL its endpoint no longer has.
    pub url_is_stale: bool,
    /// From the start of the request to the end of the response.
    pub duration: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// What the log is to say beside that, whatever came of it.
    pub note: Option<String>,
    /// What becomes of the row.
    pub resolution: Resolution,
}
