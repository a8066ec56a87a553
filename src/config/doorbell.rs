//! `[doorbell]`: how listeners are woken.

use std::time::Duration;

use serde::Deserialize;

use super::check::Check;
use super::fields;

/// Waking up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doorbell {
    /// False: never LISTEN, only poll.
    pub enabled: bool,
    /// The longest sleep.
    #[serde(rename = "floor_poll_ms", deserialize_with = "fields::milliseconds")]
    pub floor_poll: Duration,
    /// The shortest time awake after the last row.
    #[serde(rename = "awake_min_ms", deserialize_with = "fields::milliseconds")]
    pub awake_min: Duration,
    /// The longest time awake after the last row.
    #[serde(rename = "awake_max_ms", deserialize_with = "fields::milliseconds")]
    pub awake_max: Duration,
}

impl Doorbell {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.range(
            "doorbell.floor_poll_ms",
            self.floor_poll.as_millis(),
            10..=60_000,
        );
        check.range(
            "doorbell.awake_min_ms",
            self.awake_min.as_millis(),
            1..=60_000,
        );
        check.range(
            "doorbell.awake_max_ms",
            self.awake_max.as_millis(),
            self.awake_min.as_millis()..=600_000,
        );
    }
}
