//! What this worker holds, and what of it may start. Decided before a delivery starts, under one short lock.
//!
//! - Each target (an endpoint, or the URL of rows without one) waits in a queue of its own; targets take turns.
//! - A target may have so many attempts in flight; fewer after it asked to be slowed down; none while its breaker is open.
//! - Nobody may take the last free slots: a target's share is bounded by what is free, so that a hundred targets that
//!   accept and never answer still leave room for those that do.
//! - What cannot start soon is not kept: it is given back, so that its lease does not keep others from it.

mod leases;
mod standing;
mod state;
mod suspects;
mod target;
#[cfg(test)]
pub(super) mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use state::{Held, Stage, State};
use target::Target;

pub(super) use target::Happening;

use super::breaker::BreakerSettings;
use crate::backoff::Progress;
use crate::model::{Attempt, Delivery, Destination, Lease, Schedule};

/// One part in so many of all slots is not for targets whose last attempt failed.
const RESERVE: u32 = 10;
/// Payloads held here beyond which nothing more is claimed; one claim may go over it by 16 MiB and a payload.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// Payloads waiting for one target beyond which it has enough.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A delivery ready to go.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The claimed row.
    pub(super) delivery: Delivery,
    /// Where it goes.
    pub(super) to: Destination,
    /// When to try again.
    pub(super) schedule: Arc<Schedule>,
    /// The whole attempt.
    pub(super) timeout: Duration,
    /// How many attempts this target may have in flight here.
    pub(super) in_flight_max: u32,
    /// When the claim was sent: ages and leases are counted from here.
    pub(super) claimed_at: Instant,
}

/// Limits of one worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Attempts in flight.
    pub(super) in_flight_max: u32,
    /// The breaker of each target.
    pub(super) breaker: BreakerSettings,
}

/// Something about a target that others should hear of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    /// The endpoint.
    pub(super) endpoint: i64,
    /// What happened.
    pub(super) what: Happening,
}

/// All that this worker holds.
#[derive(Debug)]
pub(super) struct Dispatch {
    limits: Limits,
    state: Mutex<State>,
    /// Rings when there may be room for another claim.
    room: Notify,
    /// Rings when the last attempt in flight has ended.
    idle: Notify,
}

impl Dispatch {
    /// Holding nothing.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            room: Notify::new(),
            idle: Notify::new(),
        }
    }

    /// Takes in claimed deliveries, leased until `lease_ends`.
    pub(super) fn push(&self, jobs: Vec<Job>, lease_ends: Instant) {
        let now = Instant::now();
        let mut state = self.lock();
        for job in jobs {
            let target = job.delivery.target;
            let lease = job.delivery.lease;
            let bytes = job.delivery.payload.len();
            let progress = Progress {
                attempts: job.delivery.attempts,
                attempts_max: job.delivery.attempts_max,
                since_first_attempt: job.delivery.since_first_attempt,
            };
            state.held.insert(
                lease,
                Held {
                    target,
                    lease_ends,
                    since: now,
                    stage: Stage::Waiting,
                    progress,
                    bytes,
                },
            );
            let entry = state
                .targets
                .entry(target)
                .or_insert_with(|| Target::new(&self.limits.breaker, job.in_flight_max, now));
            if entry.most != job.in_flight_max {
                entry.most = job.in_flight_max;
                entry.allowed = entry.allowed.min(entry.most).max(1);
            }
            entry.used_at = now;
            entry.version = entry.version.max(job.delivery.endpoint_version);
            entry.waiting.push_back(job);
            state.bytes += bytes;
            state.waiting += 1;
            state.make_ready(target);
        }
        state.wake();
    }

    /// The next delivery to start; pending while there is none, `None` once closed and empty.
    pub(super) fn poll_next(&self, waker: &Waker) -> Poll<Option<Job>> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(job) = state.start_next(self.limits.in_flight_max, now) {
            if state.waiting < self.limits.in_flight_max {
                self.room.notify_one();
            }
            return Poll::Ready(Some(job));
        }
        if state.closed && state.waiting == 0 {
            return Poll::Ready(None);
        }
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// An attempt ended. Its lease is still ours until [`Self::settled`].
    pub(super) fn finished(&self, attempt: &Attempt) -> Option<News> {
        let now = Instant::now();
        let mut state = self.lock();
        let state = &mut *state;
        let held = state.held.get_mut(&attempt.lease)?;
        if held.stage != Stage::InFlight {
            return None;
        }
        held.stage = Stage::Finished;
        let target = held.target;
        state.bytes -= std::mem::take(&mut held.bytes);
        state.in_flight -= 1;
        state.unsettled += 1;
        if state.in_flight == 0 {
            self.idle.notify_waiters();
        }
        let entry = state.targets.get_mut(&target)?;
        entry.in_flight -= 1;
        entry.used_at = now;
        entry.pace.count(now);
        let news = entry.judge(&attempt.outcome, now, &self.limits.breaker);
        state.make_ready(target);
        state.relieve_crowd();
        state.wake();
        (target > 0).then_some(news).flatten().map(|what| News {
            endpoint: target,
            what,
        })
    }

    /// The database has these outcomes, or will not take them: nothing of them is held any more.
    pub(super) fn settled(&self, leases: impl IntoIterator<Item = Lease>) {
        let mut state = self.lock();
        for lease in leases {
            state.suspects.ended(lease);
            if let Some(held) = state.held.remove(&lease) {
                state.bytes -= held.bytes;
                if held.stage == Stage::Finished {
                    state.unsettled -= 1;
                }
            }
        }
        self.room.notify_one();
    }

    /// The lease of a delivery that is in flight and how far it has come, for a handler that panicked.
    pub(super) fn in_flight(&self, delivery: i64) -> Option<(Lease, Progress)> {
        let state = self.lock();
        let mut held = state.held.iter();
        held.find(|(lease, held)| lease.delivery == delivery && held.stage == Stage::InFlight)
            .map(|(lease, held)| (*lease, held.progress))
    }

    /// Targets that have enough waiting here, or may not be sent to now.
    pub(super) fn busy(&self) -> Vec<i64> {
        let now = Instant::now();
        let state = self.lock();
        let room = self.limits.in_flight_max.saturating_sub(state.waiting);
        let full = |target: &Target| {
            let waiting = u32::try_from(target.waiting.len()).unwrap_or(u32::MAX);
            target.breaker.allows(now, 1) == 0
                || target.probe_is_taken()
                || waiting >= target.waiting_most(room)
                || target.waiting_bytes() >= WAITING_BYTES_MAX
        };
        state
            .targets
            .iter()
            .filter(|(_, target)| full(target))
            .map(|(id, _)| *id)
            .collect()
    }

    /// For how many more deliveries there is room.
    pub(super) fn room(&self) -> usize {
        let state = self.lock();
        if state.bytes >= BYTES_MAX {
            return 0;
        }
        // What waits here for targets that do not answer must not keep others from being claimed, however much it is: targets
        // that have enough waiting are passed over, and for the rest there is always a little room.
        let room = self
            .limits
            .in_flight_max
            .saturating_sub(state.waiting)
            .max(self.limits.in_flight_max / RESERVE)
            .max(1);
        // With the database away, outcomes do not pile up.
        let most = self.limits.in_flight_max.saturating_mul(2);
        let room = room.min(most.saturating_sub(state.unsettled));
        usize::try_from(room).unwrap_or(0)
    }

    /// Resolves when there may be room again.
    pub(super) async fn wait_for_room(&self) {
        self.room.notified().await;
    }

    /// Stops giving anything out; answers with what had not started.
    pub(super) fn close(&self) -> Vec<Lease> {
        let mut state = self.lock();
        state.closed = true;
        let waiting: Vec<Lease> = state
            .targets
            .values()
            .flat_map(|target| target.waiting.iter().map(|job| job.delivery.lease))
            .collect();
        state.drop_waiting(&waiting);
        state.wake();
        waiting
    }

    /// Resolves when nothing is in flight.
    pub(super) async fn wait_until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.lock().in_flight == 0 {
                return;
            }
            idle.await;
        }
    }

    /// How many are in flight.
    pub(super) fn in_flight_count(&self) -> u32 {
        self.lock().in_flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The lock is held for pure bookkeeping only; a panic inside it cannot leave it half done in a way that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
