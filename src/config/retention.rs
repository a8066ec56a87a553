//! `[retention]`: what is kept, and for how long.

use std::time::Duration;

use serde::Deserialize;

use super::check::Check;
use super::fields;

/// What is kept, and for how long; none: for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Delivered rows of `webhook_queue`.
    #[serde(rename = "delivered_days", deserialize_with = "fields::days_or_never")]
    pub delivered: Option<Duration>,
    /// Events.
    #[serde(rename = "events_days", deserialize_with = "fields::days_or_never")]
    pub events: Option<Duration>,
    /// The attempt log.
    #[serde(rename = "attempts_days", deserialize_with = "fields::days_or_never")]
    pub attempts: Option<Duration>,
    /// Dead letters.
    #[serde(rename = "failed_days", deserialize_with = "fields::days_or_never")]
    pub failed: Option<Duration>,
    /// Idempotency keys.
    #[serde(rename = "idempotency_hours", deserialize_with = "fields::hours")]
    pub idempotency: Duration,
}

impl Retention {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.range(
            "retention.idempotency_hours",
            self.idempotency.as_secs() / 3600,
            1..=24 * 365,
        );
    }
}
