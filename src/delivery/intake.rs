//! From a plan to the dispatch: one claim, and what is done with what it brought.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dispatch::{Dispatch, Job};
use super::handler::{CRASHES_MAX, buried};
use super::lanes::{Lanes, Looked, Plan};
use super::roster::{Roster, Whereabouts};
use super::{Settings, holder::Holder};
use crate::causes::Causes;
use crate::channels::Class;
use crate::db::queue::ClaimRequest;
use crate::db::{Database, Error, answered};
use crate::metrics::Metrics;
use crate::model::{Attempt, Delivery, Lease};

/// How far back the fresh end of a lane is read again: longer than most transactions take from their start to their commit.
/// Those that take longer are found by the sweep.
const OVERLAP: Duration = Duration::from_millis(100);
/// The first and the longest pause after an error of the database.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What the claims of one worker share.
pub(super) struct Intake {
    pub(super) database: Database,
    pub(super) settings: Arc<Settings>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) roster: tokio::sync::Mutex<Roster>,
    pub(super) holder: Holder,
    pub(super) completer: mpsc::UnboundedSender<Attempt>,
    pub(super) lanes: Mutex<Lanes>,
    /// Rings when something may have been left to the sweep.
    pub(super) left: Notify,
}

/// What a claim brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Brought {
    /// Whether it was anything.
    pub(super) something: bool,
    /// Whether there is more at a fresh end.
    pub(super) more: bool,
}

/// How long to wait after an error.
#[derive(Debug)]
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) fn new() -> Self {
        Self(PAUSES.0)
    }

    /// Things go well again.
    pub(super) fn restore(&mut self) {
        self.0 = PAUSES.0;
    }
}

impl Intake {
    /// The cursors.
    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Held for pure bookkeeping only.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how many deliveries one claim has room.
    pub(super) fn room(&self) -> usize {
        self.dispatch.room().min(self.settings.claim_batch_max)
    }

    /// One claim.
    pub(super) async fn claim(&self, plan: &Plan) -> Result<Brought, Error> {
        let result = answered(self.take(plan)).await;
        self.left.notify_one();
        result
    }

    /// Says what went wrong with a claim, and waits before the next; longer each time.
    pub(super) async fn failed(
        &self,
        error: &Error,
        patience: &mut Patience,
        stop: &CancellationToken,
    ) {
        self.database.heed(error);
        let pause = patience.0;
        tracing::warn!(error = %Causes(error), "cannot claim; trying again in {pause:?}");
        self.metrics.database.errors.of(error.into()).increment(1);
        tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => {} }
        patience.0 = (pause * 2).min(PAUSES.1);
    }

    async fn take(&self, plan: &Plan) -> Result<Brought, Error> {
        let busy = self.dispatch.busy();
        let now = Instant::now();
        let token: i64 = rand::random();
        let request = ClaimRequest {
            windows: &plan.windows,
            busy: &busy,
            overlap: OVERLAP,
            lease: self.settings.lease,
            token,
        };
        let claim = self.database.claim(&request).await?;
        let took = now.elapsed();
        let more = self
            .lanes()
            .found(plan, &Looked::of(&claim, took), Instant::now());
        self.metrics
            .lease
            .claim_duration_seconds
            .record(took.as_secs_f64());
        let something = !claim.deliveries.is_empty();
        if something {
            #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
            self.metrics
                .lease
                .claim_batch_rows
                .record(claim.deliveries.len() as f64);
            self.hand_on(claim.deliveries, now).await?;
        }
        Ok(Brought { something, more })
    }

    /// Gives claimed deliveries to the dispatch, or to whoever else they are for.
    async fn hand_on(&self, deliveries: Vec<Delivery>, claimed_at: Instant) -> Result<(), Error> {
        let mut roster = self.roster.lock().await;
        if let Err(error) = roster.prepare(&self.database, &deliveries).await {
            self.give_up(deliveries.iter().map(|delivery| delivery.lease))
                .await;
            return Err(error);
        }
        let held = self.accept(&roster, deliveries, claimed_at);
        drop(roster);
        if held.is_empty() {
            return Ok(());
        }
        match self.holder.hold(&held).await {
            Ok(locked) => self.dispatch.return_later(locked),
            Err(error) => {
                // Only these: the others are on their way.
                self.give_up(held.into_iter().map(|(lease, _)| lease)).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// We hold leases that we cannot use; the next best thing is to let others have them now.
    async fn give_up(&self, leases: impl Iterator<Item = Lease>) {
        let leases: Vec<_> = leases.map(|lease| (lease, None)).collect();
        match self.database.give_back(&leases).await {
            Ok(given) => self.dispatch.return_later(given.locked),
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "cannot give back claimed deliveries; their leases will expire");
            }
        }
    }

    /// Sorts what was claimed: what can go, what cannot ever go; answers with what is to be held, each with its endpoint.
    fn accept(
        &self,
        roster: &Roster,
        deliveries: Vec<Delivery>,
        claimed_at: Instant,
    ) -> Vec<(Lease, i64)> {
        let mut jobs = Vec::with_capacity(deliveries.len());
        let mut held = Vec::new();
        for delivery in deliveries {
            if delivery.crashes > 0 {
                self.metrics.lease.expiries.increment(1);
            }
            if delivery.crashes >= CRASHES_MAX {
                self.bury(
                    &delivery,
                    Class::Crash,
                    format!("{CRASHES_MAX} workers died or stopped while they held it"),
                );
                continue;
            }
            match roster.find(&delivery) {
                Whereabouts::Known(to, schedule, timeout, in_flight_max) => {
                    jobs.push(Job {
                        delivery,
                        to,
                        schedule,
                        timeout,
                        in_flight_max,
                        claimed_at,
                    });
                }
                Whereabouts::Held(endpoint) => held.push((delivery.lease, endpoint.id)),
                Whereabouts::Gone => self.bury(
                    &delivery,
                    Class::Configuration,
                    "its endpoint was deleted".to_owned(),
                ),
                Whereabouts::Unusable(why) => self.bury(&delivery, Class::Configuration, why),
            }
        }
        self.dispatch.push(jobs, claimed_at + self.settings.lease);
        held
    }

    /// Ends a delivery without an attempt.
    fn bury(&self, delivery: &Delivery, class: Class, why: String) {
        self.metrics.delivery.dead_letters.increment(1);
        let _ = self.completer.send(buried(delivery, class, why));
    }
}
