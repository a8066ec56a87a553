//! Claims what was left behind: a backlog, a late commit, an expired lease, a row given back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::intake::{Intake, Patience};
use crate::db::{Error, answered};

/// With less room than this part of a batch, wait a moment for more: small batches cost as much as large ones.
const WORTHWHILE: usize = 4;
/// For how long to wait then.
const CROWDED: Duration = Duration::from_millis(5);
/// How often to look where sweeps are to begin; maintenance finds that out as often.
const FLOORS_EVERY: Duration = Duration::from_secs(2);

/// The sweeper of one worker.
pub(super) struct Sweeper {
    pub(super) intake: Arc<Intake>,
}

impl Sweeper {
    /// Runs until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut patience = Patience::new();
        let mut floors_from = Instant::now();
        loop {
            tokio::select! {
                () = self.is_due() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.has_room() => {}
                () = stop.cancelled() => return,
            }
            let swept = self.sweep(&mut floors_from).await;
            match swept {
                Ok(()) => patience.restore(),
                Err(error) => self.intake.failed(&error, &mut patience, &stop).await,
            }
        }
    }

    /// Claims what it is time for.
    async fn sweep(&self, floors_from: &mut Instant) -> Result<(), Error> {
        let now = Instant::now();
        if now >= *floors_from {
            let floors = answered(self.intake.database.sweep_floors()).await?;
            self.intake.lanes().begin_at(floors);
            *floors_from = now + FLOORS_EVERY;
        }
        let room = self.intake.room();
        let plan = self.intake.lanes().sweep(room, now);
        if let Some(plan) = plan {
            self.intake.claim(&plan).await?;
        }
        Ok(())
    }

    /// Resolves when there is something to sweep.
    async fn is_due(&self) {
        loop {
            let left = self.intake.left.notified();
            let now = Instant::now();
            let due_at = self.intake.lanes().sweep_at(now);
            match due_at {
                Some(at) if at <= now => return,
                Some(at) => tokio::select! { () = sleep_until(at) => {}, () = left => {} },
                None => left.await,
            }
        }
    }

    /// Resolves when a claim is worth its cost.
    async fn has_room(&self) {
        let dispatch = &self.intake.dispatch;
        let is_worthwhile = || dispatch.room() * WORTHWHILE >= self.intake.settings.claim_batch_max;
        let patience = sleep(CROWDED);
        tokio::pin!(patience);
        while !is_worthwhile() {
            tokio::select! {
                () = &mut patience, if dispatch.room() > 0 => return,
                () = dispatch.wait_for_room() => {}
            }
        }
    }
}
