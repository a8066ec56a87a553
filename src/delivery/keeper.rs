//! Keeps the leases of what this worker holds, and gives back what it cannot start soon.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatch;
use crate::causes::Causes;
use crate::channels::WallClock;
use crate::db::queue::{Due, GivingBack};
use crate::db::{Database, Error, answered};
use crate::metrics::{BreakerState, Metrics, ReturnReason};
use crate::model::Lease;

/// How often to look.
const EVERY: Duration = Duration::from_millis(500);
/// How many looks it takes until the clock is set again by the database's.
const CLOCK_EVERY: u32 = 60;
/// What releasing may take of a look: leases are to be kept.
const RELEASING_TURN: Duration = Duration::from_millis(500);
/// A delivery that has waited so long here is for somebody else.
const PATIENCE: Duration = Duration::from_secs(30);

/// The lease keeper of one worker.
pub(super) struct Keeper {
    pub(super) database: Database,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lease: Duration,
    pub(super) clock: Arc<WallClock>,
    /// What is to be given back once the database can be reached.
    pub(super) unreturned: Vec<GivingBack>,
    /// Endpoints whose set-aside deliveries are being released.
    pub(super) releasing: Vec<i64>,
}

impl Keeper {
    /// Runs until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut looks = 0_u32;
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { _ = ticks.tick() => {}, () = stop.cancelled() => return }
            looks = looks.wrapping_add(1);
            if let Err(error) = answered(self.tick(looks.is_multiple_of(CLOCK_EVERY))).await {
                tracing::warn!(error = %Causes(&error), "cannot keep leases");
                self.metrics
                    .database
                    .errors
                    .of((&error).into())
                    .increment(1);
            }
        }
    }

    async fn tick(&mut self, set_clock: bool) -> Result<(), Error> {
        self.show();
        let (extend, give_up) = self.dispatch.expiring(self.lease / 2, PATIENCE);
        self.will_return(
            ReturnReason::Limit,
            give_up
                .into_iter()
                .map(|lease| (lease, Due::AsItWas))
                .collect(),
        );
        self.will_return(ReturnReason::Breaker, self.dispatch.take_held_back());
        self.unreturned.extend(self.dispatch.take_returning());
        // First what would be lost by waiting.
        self.extend(&extend).await?;
        if !self.unreturned.is_empty() {
            self.unreturned = self.database.give_back(&self.unreturned).await?.locked;
        }
        self.forgive_changed().await?;
        self.release().await?;
        if set_clock {
            self.clock.set(self.database.now().await?);
        }
        Ok(())
    }

    /// Endpoints that were changed while their breaker is open are tried again at once, with what was set aside for them: a
    /// corrected endpoint does not wait for a probe.
    async fn forgive_changed(&mut self) -> Result<(), Error> {
        let suspended = self.dispatch.suspended();
        // One that has failed again is set aside again.
        self.releasing
            .retain(|endpoint| suspended.iter().all(|(id, _)| id != endpoint));
        if suspended.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = suspended.iter().map(|(endpoint, _)| *endpoint).collect();
        let present = self.database.endpoint_versions(&ids).await?;
        for (endpoint, version) in present {
            if suspended
                .iter()
                .any(|(id, known)| *id == endpoint && *known < version)
            {
                self.dispatch.forgive(endpoint, version);
                self.releasing.push(endpoint);
            }
        }
        Ok(())
    }

    /// Releases what was set aside for those that were forgiven, as far as one look allows.
    async fn release(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        while let Some(endpoint) = self.releasing.last()
            && started.elapsed() < RELEASING_TURN
        {
            if self.database.release(*endpoint).await? == 0 {
                self.releasing.pop();
            }
        }
        Ok(())
    }

    /// Keeps these leases for the time of one more.
    async fn extend(&self, leases: &[Lease]) -> Result<(), Error> {
        if leases.is_empty() {
            return Ok(());
        }
        let asked_at = Instant::now();
        let kept = self.database.extend(leases, self.lease).await?;
        self.metrics.lease.extensions.increment(kept.len() as u64);
        let mut answered: Vec<Lease> = leases.to_vec();
        if kept.len() < leases.len() {
            // Not extended, and still ours: somebody has the row locked. It is asked for again at the next look.
            let extended: HashSet<i64> = kept.iter().copied().collect();
            answered.retain(|lease| !extended.contains(&lease.delivery));
            let locked: HashSet<i64> = self
                .database
                .still_leased(&answered)
                .await?
                .into_iter()
                .collect();
            answered = leases.to_vec();
            answered.retain(|lease| !locked.contains(&lease.delivery));
        }
        self.dispatch
            .extended(&answered, &kept, asked_at + self.lease);
        Ok(())
    }

    /// Notes what is to be given back.
    fn will_return(&mut self, reason: ReturnReason, leases: Vec<GivingBack>) {
        self.metrics
            .lease
            .returns
            .of(reason)
            .increment(leases.len() as u64);
        self.unreturned.extend(leases);
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
