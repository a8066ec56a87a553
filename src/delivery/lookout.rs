//! Looks for the oldest delivery that is due, beside maintenance: that may take long where much cannot be vacuumed, and nothing else
//! is to wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::causes::Causes;
use crate::db::Database;
use crate::metrics::Metrics;

/// How often to look.
const EVERY: Duration = Duration::from_secs(2);

/// The lookout of one worker process; idle while another one does the maintenance.
pub(super) struct Lookout {
    pub(super) database: Database,
    pub(super) metrics: Arc<Metrics>,
    /// Whether maintenance is ours.
    pub(super) on_duty: Arc<AtomicBool>,
}

impl Lookout {
    /// Runs until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { _ = ticks.tick() => {}, () = stop.cancelled() => return }
            if self.on_duty.load(Ordering::Relaxed) {
                tokio::select! { () = self.look() => {}, () = stop.cancelled() => return }
            }
        }
    }

    async fn look(&self) {
        if let Err(error) = self.database.look_for_oldest_due().await {
            tracing::warn!(error = %Causes(&error), "cannot look for the oldest due delivery; trying again");
            let errors = self.metrics.database.errors.of((&error).into());
            errors.increment(1);
            if error.is_canceled()
                && let Err(error) = self.database.skip_lane().await
            {
                tracing::debug!(error = %Causes(&error), "the same lane is looked at again");
            }
        }
    }
}
