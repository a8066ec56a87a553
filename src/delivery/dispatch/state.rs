//! What is behind the lock: leases, targets, and whose turn it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::task::Waker;

use tokio::time::Instant;

use super::suspects::Suspects;
use super::target::Target;
use super::{Job, RESERVE};
use crate::backoff::Progress;
use crate::db::queue::GivingBack;
use crate::model::Lease;

/// A target may start while it has fewer in flight than one part in so many of the free slots.
const SHARE_OF_FREE: u32 = 4;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) targets: HashMap<i64, Target>,
    /// Targets with something to start, in turn.
    pub(super) ready: VecDeque<i64>,
    /// Targets that wait for slots to be free.
    pub(super) crowded: VecDeque<i64>,
    /// Every lease this worker answers for, until the database has its outcome.
    pub(super) held: HashMap<Lease, Held>,
    pub(super) in_flight: u32,
    pub(super) waiting: u32,
    /// Payloads of what waits and is in flight.
    pub(super) bytes: usize,
    /// Attempts whose outcome the database does not have yet.
    pub(super) unsettled: u32,
    /// What somebody had locked when it was to be given back.
    pub(super) returning: Vec<GivingBack>,
    pub(super) suspects: Suspects,
    pub(super) wakers: Vec<Waker>,
    pub(super) closed: bool,
}

/// A lease this worker answers for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) target: i64,
    pub(super) lease_ends: Instant,
    pub(super) since: Instant,
    pub(super) stage: Stage,
    pub(super) progress: Progress,
    /// Of the payload, while it is here.
    pub(super) bytes: usize,
}

/// How far a held delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    InFlight,
    Finished,
}

impl State {
    /// Starts the next delivery whose target may start one.
    pub(super) fn start_next(&mut self, in_flight_max: u32, now: Instant) -> Option<Job> {
        let free = in_flight_max.saturating_sub(self.in_flight);
        if free == 0 {
            return None;
        }
        // Ends: each round starts something, drops something, or takes a target out of the line.
        while let Some(id) = self.ready.pop_front() {
            let Some(target) = self.targets.get_mut(&id) else {
                continue;
            };
            target.in_ready = false;
            if target.waiting.is_empty() {
                continue;
            }
            if target.in_flight >= target.breaker.allows(now, target.allowed) {
                continue; // its own next finish, or the next push, makes it ready again
            }
            let scarce = target.failing && free < in_flight_max / RESERVE;
            if target.in_flight >= (free / SHARE_OF_FREE).max(1) || (scarce && self.in_flight > 0) {
                target.in_ready = true;
                self.crowded.push_back(id);
                continue;
            }
            let job = target.waiting.pop_front()?;
            self.waiting -= 1;
            if !target.waiting.is_empty() {
                target.in_ready = true;
                self.ready.push_back(id);
            }
            let lease = job.delivery.lease;
            // After a freeze or with the database long away: the lease is lost, somebody else has it. One that still holds is
            // kept from here on, so that an attempt may take longer than what is left of it.
            if self
                .held
                .get(&lease)
                .is_none_or(|held| held.lease_ends <= now)
            {
                if let Some(held) = self.held.remove(&lease) {
                    self.bytes -= held.bytes;
                }
                self.suspects.ended(lease);
                continue;
            }
            target.breaker.started(now);
            target.in_flight += 1;
            target.used_at = now;
            self.in_flight += 1;
            self.suspects.started(lease, now);
            if let Some(held) = self.held.get_mut(&lease) {
                held.stage = Stage::InFlight;
            }
            return Some(job);
        }
        None
    }

    /// There is a free slot: the crowded target that waits longest comes into the line. Those with nothing left to start
    /// give their turn to the next.
    pub(super) fn relieve_crowd(&mut self) {
        while let Some(next) = self.crowded.front().copied() {
            self.make_ready(next);
            if self
                .targets
                .get(&next)
                .is_some_and(|target| target.in_ready)
            {
                return;
            }
            // Without a target there was nothing to take out of the crowd.
            if self.crowded.front() == Some(&next) {
                self.crowded.pop_front();
            }
        }
    }

    /// Puts a target with something waiting in the line, once.
    pub(super) fn make_ready(&mut self, id: i64) {
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        if let Some(place) = self.crowded.iter().position(|crowded| *crowded == id) {
            self.crowded.remove(place);
            target.in_ready = false;
        }
        if !target.in_ready && !target.waiting.is_empty() {
            target.in_ready = true;
            self.ready.push_back(id);
        }
    }

    /// Forgets deliveries that have not started.
    pub(super) fn drop_waiting(&mut self, leases: &[Lease]) {
        let gone: HashSet<Lease> = leases.iter().copied().collect();
        let mut targets: Vec<i64> = Vec::new();
        for lease in leases {
            if let Some(held) = self.held.get(lease)
                && held.stage == Stage::Waiting
            {
                targets.push(held.target);
                self.bytes -= held.bytes;
                self.held.remove(lease);
                self.suspects.ended(*lease);
            }
        }
        targets.sort_unstable();
        targets.dedup();
        for id in targets {
            if let Some(target) = self.targets.get_mut(&id) {
                let before = target.waiting.len();
                target
                    .waiting
                    .retain(|job| !gone.contains(&job.delivery.lease));
                self.waiting -= u32::try_from(before - target.waiting.len()).unwrap_or(0);
            }
        }
    }

    pub(super) fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}
