//! From a plan to the dispatch: one claim, and what is done with what it brought.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dispatch::{Dispatch, Job};
use super::handler::{CRASHES_MAX, CRASHES_SUSPECT, buried};
use super::lanes::{Lanes, Looked, Plan};
use super::roster::{Roster, Whereabouts};
use super::{Settings, holder::Holder};
use crate::causes::Causes;
use crate::channels::Class;
use crate::db::queue::{ClaimRequest, Due, GivingBack};
use crate::db::{Database, Error, answered};
use crate::metrics::{Metrics, ReturnReason};
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

/// What was claimed, sorted.
#[derive(Debug, Default)]
struct Sorted {
    /// What can go.
    jobs: Vec<Job>,
    /// What is to be held, each with its endpoint.
    held: Vec<(Lease, i64)>,
    /// What workers have died over, and whose turn it is.
    suspect: Option<Job>,
    /// What of that kind is to wait for its turn.
    suspects: Vec<GivingBack>,
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
        self.metrics.lease.expiries.increment(claim.expired);
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
            self.give_up(in_place(deliveries.iter().map(|delivery| delivery.lease)))
                .await;
            return Err(error);
        }
        let sorted = self.sort(&roster, deliveries, claimed_at);
        drop(roster);
        let lease_ends = claimed_at + self.settings.lease;
        self.dispatch.push(sorted.jobs, lease_ends);
        if !sorted.suspects.is_empty() {
            let returns = self.metrics.lease.returns.of(ReturnReason::Suspect);
            returns.increment(sorted.suspects.len() as u64);
            self.give_up(sorted.suspects).await;
        }
        // Last: it may end this process.
        self.dispatch
            .push(sorted.suspect.into_iter().collect(), lease_ends);
        let held = sorted.held;
        if held.is_empty() {
            return Ok(());
        }
        match self.holder.hold(&held).await {
            Ok(locked) => self.dispatch.return_later(locked),
            Err(error) => {
                // Only these: the others are on their way.
                self.give_up(in_place(held.into_iter().map(|(lease, _)| lease)))
                    .await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// We hold leases that we cannot use; the next best thing is to let others have them now.
    async fn give_up(&self, leases: Vec<GivingBack>) {
        match self.database.give_back(&leases).await {
            Ok(given) => self.dispatch.return_later(given.locked),
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "cannot give back claimed deliveries; trying again until their leases expire");
                self.dispatch.return_later(leases);
            }
        }
    }

    /// Sorts what was claimed, and ends what cannot ever go.
    fn sort(&self, roster: &Roster, deliveries: Vec<Delivery>, claimed_at: Instant) -> Sorted {
        let mut sorted = Sorted {
            jobs: Vec::with_capacity(deliveries.len()),
            ..Sorted::default()
        };
        for delivery in deliveries {
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
                    let is_suspect = delivery.crashes >= CRASHES_SUSPECT;
                    if is_suspect {
                        if let Some(wait) = self.dispatch.turn_of_suspect(delivery.lease) {
                            sorted.suspects.push((delivery.lease, Due::After(wait)));
                            continue;
                        }
                        tracing::warn!(
                            delivery.id = delivery.lease.delivery,
                            delivery.endpoint_id,
                            workers = delivery.crashes,
                            "so many workers have died or stopped while they held this delivery; it is tried once more, and no other such beside it; to stop that, set its status in webhook_queue to 'failed'"
                        );
                    }
                    let job = Job {
                        delivery,
                        to,
                        schedule,
                        timeout,
                        in_flight_max,
                        claimed_at,
                    };
                    if is_suspect {
                        sorted.suspect = Some(job);
                    } else {
                        sorted.jobs.push(job);
                    }
                }
                Whereabouts::Held(endpoint) => {
                    sorted.held.push((delivery.lease, endpoint.id));
                }
                Whereabouts::Gone => self.bury(
                    &delivery,
                    Class::Configuration,
                    "its endpoint was deleted".to_owned(),
                ),
                Whereabouts::Unusable(why) => self.bury(&delivery, Class::Configuration, why),
            }
        }
        sorted
    }

    /// Ends a delivery without an attempt.
    fn bury(&self, delivery: &Delivery, class: Class, why: String) {
        self.metrics.delivery.dead_letters.increment(1);
        let _ = self.completer.send(buried(delivery, class, why));
    }
}

/// To be given back as they were.
fn in_place(leases: impl Iterator<Item = Lease>) -> Vec<GivingBack> {
    leases.map(|lease| (lease, Due::AsItWas)).collect()
}
