//! The log of an instance's webhook: its deliveries, each with its attempts.

pub(super) mod get;
pub(super) mod retry;
pub(super) mod search;

use serde::Serialize;
use utoipa::ToSchema;

use crate::db::administration::{DeliveryLog, Instance};
use crate::dialect::{Dialect, timestamp};
use crate::http::fault::{Fault, Kind};

/// What ids of logs begin with. Without it they are taken too.
const PREFIX: &str = "log_";

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VzapsLog {
    /// Its id.
    #[schema(example = "log_123")]
    id: String,
    /// The instance.
    instance_id: String,
    /// The event's name.
    #[schema(example = "Message")]
    event: String,
    /// The event's id.
    event_id: Option<String>,
    /// Where it goes.
    url: String,
    /// `pending`, `delivered` or `failed`.
    #[schema(example = "failed")]
    status: String,
    /// What the receiver answered last.
    #[schema(example = 503)]
    status_code: Option<i32>,
    /// Attempts made.
    attempts: i32,
    /// When they reach it, the delivery has failed.
    max_attempts: i32,
    /// What the last failure said.
    error: Option<String>,
    /// When it was queued.
    #[schema(format = DateTime)]
    created_at: String,
    /// When its state last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it is tried next, while it is pending.
    #[schema(format = DateTime)]
    next_retry_at: Option<String>,
}

impl VzapsLog {
    /// A delivery of an instance.
    fn new(instance: &Instance, delivery: &DeliveryLog) -> Self {
        let is_pending = delivery.status == "pending";
        Self {
            id: format!("{PREFIX}{}", delivery.id),
            instance_id: instance.vzaps_id.clone(),
            event: Dialect::Vzaps.name(&delivery.event_type).to_owned(),
            event_id: delivery.event_id.clone(),
            url: delivery.url.clone(),
            status: delivery.status.clone(),
            status_code: delivery.response_status,
            attempts: delivery.attempts,
            max_attempts: delivery.max_attempts,
            error: delivery.last_error.clone(),
            created_at: timestamp(delivery.created_at),
            updated_at: timestamp(delivery.updated_at),
            next_retry_at: is_pending.then(|| timestamp(delivery.next_retry_at)),
        }
    }
}

/// The delivery that an id of a log means.
fn delivery_of(log: &str) -> Result<i64, Fault> {
    let digits = log.strip_prefix(PREFIX).unwrap_or(log);
    digits.parse().map_err(|_| not_found(log))
}

/// The instance has no such log.
fn not_found(log: &str) -> Fault {
    let message = format!(
        "the instance has no webhook log {log:?}; POST …/webhook/logs/search lists those it has"
    );
    Fault::new(Kind::NotFound, "log_not_found", message)
}
