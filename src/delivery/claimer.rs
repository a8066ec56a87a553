//! Claims what is due, as much as there is room for, and hands it to the dispatch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::dispatch::{Dispatch, Job};
use super::handler::{CRASHES_MAX, buried};
use super::lanes::{Lanes, Looked};
use super::roster::{Roster, Whereabouts};
use super::{Settings, holder::Holder};
use crate::causes::Causes;
use crate::channels::Class;
use crate::db::queue::ClaimRequest;
use crate::db::{
    Database, Error, answered,
    doorbell::{Found, Listener},
};
use crate::metrics::Metrics;
use crate::model::{Attempt, Delivery, Lease};

/// How far back the fresh end of a lane is read again: longer than most transactions take from their start to their commit.
/// Those that take longer are found by the sweep.
const OVERLAP: Duration = Duration::from_millis(100);
/// With less room than this part of a batch, wait a moment for more: small batches cost as much as large ones.
const WORTHWHILE: usize = 4;
/// For how long to wait then.
const CROWDED: Duration = Duration::from_millis(5);
/// The first and the longest pause after an error of the database.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The claimer of one worker.
pub(super) struct Claimer {
    pub(super) database: Database,
    pub(super) settings: Arc<Settings>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) roster: Roster,
    pub(super) holder: Holder,
    pub(super) completer: mpsc::UnboundedSender<Attempt>,
    pub(super) lanes: Lanes,
    pub(super) alarm: Arc<Alarm>,
}

impl Claimer {
    /// Runs until told to stop.
    pub(super) async fn run(mut self, mut listener: Listener, stop: CancellationToken) {
        let mut pause = PAUSES.0;
        let alarm = self.alarm.clone();
        loop {
            let rest = self.lanes.due_at();
            tokio::select! {
                () = listener.turn() => {}
                () = sleep_until(rest) => {}
                () = alarm.rings() => {}
                () = stop.cancelled() => return,
            }
            self.wait_for_room(&stop).await;
            if stop.is_cancelled() {
                return;
            }
            match answered(self.turn()).await {
                Ok(brought) => {
                    pause = PAUSES.0;
                    listener.found(if self.lanes.has_more(Instant::now()) {
                        Found::More
                    } else if brought {
                        Found::Something
                    } else {
                        Found::Nothing
                    });
                }
                Err(error) => {
                    self.database.heed(&error);
                    tracing::warn!(error = %Causes(&error), "cannot claim; trying again in {pause:?}");
                    self.metrics
                        .database
                        .errors
                        .of((&error).into())
                        .increment(1);
                    tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => return }
                    pause = (pause * 2).min(PAUSES.1);
                    listener.found(Found::More);
                }
            }
        }
    }

    /// Waits until a claim is worth its cost.
    async fn wait_for_room(&self, stop: &CancellationToken) {
        let batch = self.settings.claim_batch_max;
        let room = self.dispatch.room();
        // What has just been committed is not kept waiting because a backlog has filled the room.
        if room * WORTHWHILE >= batch || room > 0 && self.lanes.brings_fresh() {
            return;
        }
        let patience = tokio::time::sleep(CROWDED);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                () = &mut patience, if self.dispatch.room() > 0 => return,
                () = self.dispatch.wait_for_room() => {}
                () = stop.cancelled() => return,
            }
            if self.dispatch.room() * WORTHWHILE >= batch {
                return;
            }
        }
    }

    /// One claim. Answers whether it brought anything.
    async fn turn(&mut self) -> Result<bool, Error> {
        let room = self.dispatch.room().min(self.settings.claim_batch_max);
        let busy = self.dispatch.busy();
        let now = Instant::now();
        let plan = self.lanes.plan(room, now);
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
        self.lanes
            .found(&plan, &Looked::of(&claim, took), Instant::now());
        self.metrics
            .lease
            .claim_duration_seconds
            .record(took.as_secs_f64());
        if claim.deliveries.is_empty() {
            return Ok(false);
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        self.metrics
            .lease
            .claim_batch_rows
            .record(claim.deliveries.len() as f64);
        let leases = leases_of(&claim.deliveries);
        if let Err(error) = self.roster.prepare(&self.database, &claim.deliveries).await {
            self.give_up(&leases).await;
            return Err(error);
        }
        let held = self.accept(claim.deliveries, now);
        if held.is_empty() {
            return Ok(true);
        }
        match self.holder.hold(&held).await {
            Ok(locked) => self.dispatch.return_later(locked),
            Err(error) => {
                // Only these: the others are on their way.
                let leases: Vec<Lease> = held.into_iter().map(|(lease, _)| lease).collect();
                self.give_up(&leases).await;
                return Err(error);
            }
        }
        Ok(true)
    }

    /// We hold leases that we cannot use; the next best thing is to let others have them now.
    async fn give_up(&self, leases: &[Lease]) {
        let leases: Vec<_> = leases.iter().map(|lease| (*lease, None)).collect();
        match self.database.give_back(&leases).await {
            Ok(given) => self.dispatch.return_later(given.locked),
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "cannot give back claimed deliveries; their leases will expire");
            }
        }
    }

    /// Sorts what was claimed: what can go, what cannot ever go; answers with what is to be held, each with its endpoint.
    fn accept(&mut self, deliveries: Vec<Delivery>, claimed_at: Instant) -> Vec<(Lease, i64)> {
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
            match self.roster.find(&delivery) {
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

/// Who holds what, of these.
fn leases_of(deliveries: &[Delivery]) -> Vec<Lease> {
    deliveries.iter().map(|delivery| delivery.lease).collect()
}

/// Resolves at that time; never where there is none.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
