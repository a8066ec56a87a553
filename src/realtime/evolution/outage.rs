//! What is asked for every few seconds fails every few seconds while the database is away: it is said when that begins, and
//! when it is over.

use std::fmt::Display;

/// Whether it fails.
#[derive(Debug, Default)]
pub(super) struct Outage(bool);

impl Outage {
    /// It failed.
    pub(super) fn goes_on(&mut self, error: &dyn Display, message: &'static str) {
        if !std::mem::replace(&mut self.0, true) {
            tracing::warn!(%error, "{message}");
        }
    }

    /// It did not.
    pub(super) fn over(&mut self, message: &'static str) {
        if std::mem::take(&mut self.0) {
            tracing::info!("{message}");
        }
    }
}
