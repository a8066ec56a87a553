//! Keeps the leases of what this worker holds, and gives back what it cannot start soon.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatch;
use crate::causes::Causes;
use crate::channels::WallClock;
use crate::db::{Database, Error};
use crate::metrics::{BreakerState, Metrics, ReturnReason};
use crate::model::Lease;

/// How often to look.
const EVERY: Duration = Duration::from_millis(500);
/// How many looks it takes until the clock is set again by the database's.
const CLOCK_EVERY: u32 = 60;
/// A delivery that has waited so long here is for somebody else.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lease keeper of one worker.
pub(super) struct Keeper {
    pub(super) database: Database,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lease: Duration,
    pub(super) clock: Arc<WallClock>,
}

impl Keeper {
    /// Runs until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut looks = 0_u32;
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { _ = ticks.tick() => {}, () = stop.cancelled() => return }
            looks = looks.wrapping_add(1);
            if let Err(error) = self.tick(looks.is_multiple_of(CLOCK_EVERY)).await {
                tracing::warn!(error = %Causes(&error), "cannot keep leases");
                self.metrics
                    .database
                    .errors
                    .of((&error).into())
                    .increment(1);
            }
        }
    }

    async fn tick(&self, set_clock: bool) -> Result<(), Error> {
        if set_clock {
            self.clock.set(self.database.now().await?);
        }
        self.show();
        let held_back = self.dispatch.take_held_back();
        if !held_back.is_empty() {
            self.database.give_back(&held_back).await?;
            self.metrics
                .lease
                .returns
                .of(ReturnReason::Breaker)
                .increment(held_back.len() as u64);
        }
        let (extend, give_up) = self.dispatch.expiring(self.lease / 2, PATIENCE);
        if !give_up.is_empty() {
            let give_up: Vec<(Lease, Option<Duration>)> =
                give_up.into_iter().map(|lease| (lease, None)).collect();
            self.database.give_back(&give_up).await?;
            self.metrics
                .lease
                .returns
                .of(ReturnReason::Limit)
                .increment(give_up.len() as u64);
        }
        if !extend.is_empty() {
            let asked_at = Instant::now();
            let kept = self.database.extend(&extend, self.lease).await?;
            self.metrics.lease.extensions.increment(kept.len() as u64);
            self.dispatch
                .extended(&extend, &kept, asked_at + self.lease);
        }
        Ok(())
    }

    fn show(&self) {
        let standing = self.dispatch.standing();
        self.metrics
            .delivery
            .in_flight
            .set(f64::from(standing.in_flight));
        let [closed, open, probing] = standing.breakers;
        for (state, targets) in [
            (BreakerState::Closed, closed),
            (BreakerState::Open, open),
            (BreakerState::Probing, probing),
        ] {
            self.metrics
                .delivery
                .breakers
                .of(state)
                .set(f64::from(targets));
        }
    }
}
