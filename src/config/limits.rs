//! `[limits]`: sizes.

use serde::Deserialize;

use super::check::Check;

/// Sizes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The largest event data.
    pub payload_bytes_max: u64,
    /// The largest media that is fetched to be put into an event.
    pub media_bytes_max: usize,
}

impl Limits {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        // A bytea holds 1 GiB, and a statement's text, which may carry it as hex, as much: a quarter leaves room. Below 1 MiB
        // nothing is measured, for that would cost every event.
        check.range(
            "limits.payload_bytes_max",
            self.payload_bytes_max,
            1024 * 1024..=256 * 1024 * 1024,
        );
        check.range(
            "limits.media_bytes_max",
            self.media_bytes_max,
            0..=64 * 1024 * 1024,
        );
    }
}
