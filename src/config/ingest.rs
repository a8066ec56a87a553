//! `[ingest]`: NOTIFY to events.

use serde::Deserialize;

use super::check::Check;

/// NOTIFY to events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// What to LISTEN to.
    pub topic: String,
}

impl Ingest {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        // Postgres would refuse a longer one at run time (NAMEDATALEN - 1).
        let fits = (1..=63).contains(&self.topic.len());
        check.require(fits, "ingest.topic", "expected 1 to 63 bytes; shorten it");
    }
}
