//! What this worker holds, and what of it may start. Decided before a delivery starts, under one short lock.
//!
//! - Each target (an endpoint, or the URL of rows without one) waits in a queue of its own; targets take turns.
//! - A target may have so many attempts in flight; fewer after it asked to be slowed down; none while its breaker is open.
//! - Nobody may take the last free slots: a target's share is bounded by what is free, so that a hundred targets that
//!   accept and never answer still leave room for those that do.
//! - What cannot start soon is not kept: it is given back, so that its lease does not keep others from it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerSettings, BreakerState, Transition};
use crate::backoff::Progress;
use crate::channels::{Class, Outcome, Verdict};
use crate::model::{Attempt, Delivery, Destination, Lease, Schedule};

/// A target may start while it has fewer in flight than one part in so many of the free slots.
const SHARE_OF_FREE: u32 = 4;
/// One part in so many of all slots is not for targets whose last attempt failed.
const RESERVE: u32 = 10;
/// A target that has not shown its pace may have waiting one part in so many of the room that is left.
const SHARE_OF_ROOM: u32 = 8;
/// For how long at most a target's waiting deliveries should last at its present pace.
const WAITING_MAX: Duration = Duration::from_millis(250);
/// Waiting deliveries a target may always have.
const WAITING_MIN: u32 = 32;
/// How often it is said of a target that it answers, though nothing has changed: an UPDATE that mostly finds nothing to do.
const SAY_WELL_EVERY: Duration = Duration::from_mins(5);
/// Payloads held here beyond which nothing more is claimed; one claim may go over it by 16 MiB and a payload.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// Payloads waiting for one target beyond which it has enough.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an unused target is remembered.
const FORGET_AFTER: Duration = Duration::from_mins(10);

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

/// What happened to an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Happening {
    /// Failures began, or go on; with what the last one said.
    Failing(String),
    /// It was delivered to after failures.
    Recovered,
    /// It asked not to be sent to any more.
    AskedToPause(String),
}

/// How things stand, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Attempts in flight.
    pub(super) in_flight: u32,
    /// Deliveries waiting here.
    pub(super) waiting: u32,
    /// Targets by breaker: closed, open, probing.
    pub(super) breakers: [u32; 3],
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

#[derive(Debug, Default)]
struct State {
    targets: HashMap<i64, Target>,
    /// Targets with something to start, in turn.
    ready: VecDeque<i64>,
    /// Targets that wait for slots to be free.
    crowded: VecDeque<i64>,
    /// Every lease this worker answers for, until the database has its outcome.
    held: HashMap<Lease, Held>,
    in_flight: u32,
    waiting: u32,
    /// Payloads of what waits and is in flight.
    bytes: usize,
    /// Attempts whose outcome the database does not have yet.
    unsettled: u32,
    wakers: Vec<Waker>,
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    target: i64,
    lease_ends: Instant,
    since: Instant,
    stage: Stage,
    progress: Progress,
    /// Of the payload, while it is here.
    bytes: usize,
}

/// How far a held delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    InFlight,
    Finished,
}

#[derive(Debug)]
struct Target {
    waiting: VecDeque<Job>,
    in_flight: u32,
    /// Its limit, and how much of it is allowed now.
    most: u32,
    allowed: u32,
    in_ready: bool,
    breaker: Breaker,
    failing: bool,
    /// When it was last said that it answers. Another worker, or we before a restart, may have said that it does not.
    well_since: Option<Instant>,
    pace: Pace,
    used_at: Instant,
    /// The endpoint's version when it was last claimed for.
    version: Option<i64>,
}

/// Attempts finished per second, roughly.
#[derive(Debug)]
struct Pace {
    since: Instant,
    count: u32,
    per_second: f64,
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

    /// Leases that end within `margin`, to be extended; those that have waited longer than `patience` are given up instead.
    pub(super) fn expiring(
        &self,
        margin: Duration,
        patience: Duration,
    ) -> (Vec<Lease>, Vec<Lease>) {
        let now = Instant::now();
        let mut state = self.lock();
        let mut extend = Vec::new();
        let mut give_up = Vec::new();
        for (lease, held) in &state.held {
            if held.stage == Stage::Waiting && now.duration_since(held.since) >= patience {
                give_up.push(*lease);
            } else if held.lease_ends <= now + margin {
                extend.push(*lease);
            }
        }
        state.drop_waiting(&give_up);
        (extend, give_up)
    }

    /// These leases now last until `lease_ends`; of all that were asked for, the others are lost.
    pub(super) fn extended(&self, asked: &[Lease], kept: &[i64], lease_ends: Instant) {
        let mut state = self.lock();
        let kept: std::collections::HashSet<i64> = kept.iter().copied().collect();
        let mut lost = Vec::new();
        for lease in asked {
            if !kept.contains(&lease.delivery) {
                lost.push(*lease);
            } else if let Some(held) = state.held.get_mut(lease) {
                held.lease_ends = lease_ends;
            }
        }
        state.drop_waiting(&lost);
    }

    /// Takes what waits for targets whose breaker is open, with how long it is to be left alone.
    pub(super) fn take_held_back(&self) -> Vec<(Lease, Option<Duration>)> {
        let now = Instant::now();
        let mut state = self.lock();
        let mut back = Vec::new();
        let mut due = Vec::new();
        for (id, target) in &state.targets {
            let BreakerState::Open { until } = target.breaker.state() else {
                continue;
            };
            if until <= now {
                // It waits for nothing but to be asked, and no attempt of its own will end to do so.
                due.push(*id);
            } else {
                back.extend(
                    target
                        .waiting
                        .iter()
                        .map(|job| (job.delivery.lease, Some(until - now))),
                );
            }
        }
        let leases: Vec<Lease> = back.iter().map(|(lease, _)| *lease).collect();
        state.drop_waiting(&leases);
        for target in due {
            state.make_ready(target);
        }
        state.wake();
        back
    }

    /// Endpoints that are left alone for now, with the version that was found wanting.
    pub(super) fn suspended(&self) -> Vec<(i64, i64)> {
        let now = Instant::now();
        let state = self.lock();
        let suspended = |target: &Target| target.breaker.allows(now, 1) == 0;
        state
            .targets
            .iter()
            .filter(|(_, target)| suspended(target))
            .filter_map(|(id, target)| Some((*id, target.version?)))
            .collect()
    }

    /// An endpoint has been changed since: it gets another chance at once.
    pub(super) fn forgive(&self, endpoint: i64, version: i64) {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(target) = state.targets.get_mut(&endpoint) {
            target.breaker.forgive(now, &self.limits.breaker);
            target.version = Some(version);
        }
        state.make_ready(endpoint);
        state.wake();
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

    /// How things stand. Also forgets targets that were long unused.
    pub(super) fn standing(&self) -> Standing {
        let now = Instant::now();
        let mut state = self.lock();
        state
            .targets
            .retain(|_, target| !target.is_forgettable(now));
        let mut standing = Standing {
            in_flight: state.in_flight,
            waiting: state.waiting,
            ..Standing::default()
        };
        for target in state.targets.values() {
            let slot = match target.breaker.state() {
                BreakerState::Closed => 0,
                BreakerState::Open { .. } => 1,
                BreakerState::Probing => 2,
            };
            standing.breakers[slot] += 1;
        }
        standing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The lock is held for pure bookkeeping only; a panic inside it cannot leave it half done in a way that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Starts the next delivery whose target may start one.
    fn start_next(&mut self, in_flight_max: u32, now: Instant) -> Option<Job> {
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
                continue;
            }
            target.breaker.started(now);
            target.in_flight += 1;
            target.used_at = now;
            self.in_flight += 1;
            if let Some(held) = self.held.get_mut(&lease) {
                held.stage = Stage::InFlight;
            }
            return Some(job);
        }
        None
    }

    /// There is a free slot: the crowded target that waits longest comes into the line. Those with nothing left to start
    /// give their turn to the next.
    fn relieve_crowd(&mut self) {
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
    fn make_ready(&mut self, id: i64) {
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
    fn drop_waiting(&mut self, leases: &[Lease]) {
        let gone: HashSet<Lease> = leases.iter().copied().collect();
        let mut targets: Vec<i64> = Vec::new();
        for lease in leases {
            if let Some(held) = self.held.get(lease)
                && held.stage == Stage::Waiting
            {
                targets.push(held.target);
                self.bytes -= held.bytes;
                self.held.remove(lease);
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

    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}

impl Target {
    fn new(breaker: &BreakerSettings, most: u32, now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: 0,
            most,
            allowed: most,
            in_ready: false,
            breaker: Breaker::new(breaker),
            failing: false,
            well_since: None,
            pace: Pace {
                since: now,
                count: 0,
                per_second: 0.0,
            },
            used_at: now,
            version: None,
        }
    }

    /// Learns from an outcome: how many may be in flight, and whether any.
    fn judge(
        &mut self,
        outcome: &Outcome,
        now: Instant,
        settings: &BreakerSettings,
    ) -> Option<Happening> {
        match outcome {
            Outcome::Delivered(receipt) => {
                if receipt.verdict == Verdict::Pause {
                    return Some(Happening::AskedToPause(
                        "the receiver asked for no more (webhook-delivery: disable)".to_owned(),
                    ));
                }
                self.allowed = (self.allowed + 1).min(self.most);
                let closed = self.breaker.succeeded(settings) == Some(Transition::Closed);
                let recovered = std::mem::take(&mut self.failing) || closed;
                let said = self
                    .well_since
                    .filter(|at| now.duration_since(*at) < SAY_WELL_EVERY);
                if said.is_some() && !recovered {
                    return None;
                }
                self.well_since = Some(now);
                Some(Happening::Recovered)
            }
            Outcome::Failed(failure) => {
                if failure.verdict == Verdict::SlowDown {
                    self.allowed = (self.allowed / 2).max(1);
                }
                if matches!(failure.class, Class::Configuration | Class::Crash) {
                    self.breaker.probe_abandoned(now);
                    return None;
                }
                let opened = self.breaker.failed(now, settings) == Some(Transition::Opened);
                if failure.verdict == Verdict::Pause {
                    return Some(Happening::AskedToPause(failure.detail.clone()));
                }
                let first = !std::mem::replace(&mut self.failing, true);
                (first || opened || self.breaker.state() != BreakerState::Closed)
                    .then(|| Happening::Failing(failure.detail.clone()))
            }
        }
    }

    /// How many may wait here: enough to keep the target busy until the next claims, no more. One that does not show that it
    /// gets through them has only its share of the room that is left.
    fn waiting_most(&self, room: u32) -> u32 {
        let soon = self.pace.per_second * WAITING_MAX.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of deliveries, clamped"
        )]
        let soon = soon.clamp(0.0, 10_000.0) as u32;
        let unproven = self.allowed.saturating_mul(2).max(WAITING_MIN);
        soon.max(unproven.min(room / SHARE_OF_ROOM)).max(1)
    }

    /// Payloads that wait here.
    fn waiting_bytes(&self) -> usize {
        self.waiting
            .iter()
            .map(|job| job.delivery.payload.len())
            .sum()
    }

    /// A probe is out, or waits to go: no second one is needed.
    fn probe_is_taken(&self) -> bool {
        match self.breaker.state() {
            BreakerState::Closed => false,
            BreakerState::Open { .. } => !self.waiting.is_empty(),
            BreakerState::Probing => true,
        }
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        self.waiting.is_empty()
            && self.in_flight == 0
            && self.breaker.is_fresh()
            && now.duration_since(self.used_at) >= FORGET_AFTER
    }
}

impl Pace {
    fn count(&mut self, now: Instant) {
        self.count += 1;
        let passed = now.duration_since(self.since);
        if passed >= WAITING_MAX {
            let measured = f64::from(self.count) / passed.as_secs_f64();
            self.per_second = f64::midpoint(self.per_second, measured);
            self.count = 0;
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use time::OffsetDateTime;

    use super::*;
    use crate::channels::{Failure, Receipt, Retry};
    use crate::model::{Channel, Resolution};

    const LEASE: Duration = Duration::from_secs(90);

    fn dispatch(in_flight_max: u32) -> Dispatch {
        Dispatch::new(Limits {
            in_flight_max,
            breaker: BreakerSettings {
                failures_consecutive: 10,
                failures_share: 0.5,
                window: 50,
                probe: Duration::from_secs(30),
                probe_max: Duration::from_mins(10),
            },
        })
    }

    fn job(id: i64, target: i64) -> Job {
        Job {
            delivery: Delivery {
                lease: Lease {
                    delivery: id,
                    token: 1,
                },
                target,
                lane: 0,
                event_id: format!("row-{id}"),
                event_type: "t".into(),
                instance: "x".into(),
                channel: Channel::Webhook,
                endpoint_id: Some(target),
                endpoint_version: Some(1),
                url: "http://localhost".into(),
                auth_header: None,
                payload: Bytes::new(),
                occurred_at: OffsetDateTime::UNIX_EPOCH,
                age: Duration::ZERO,
                crashes: 0,
                attempts: 0,
                attempts_max: 5,
                since_first_attempt: None,
            },
            to: Destination::Direct {
                url: "http://localhost".into(),
                authorization: None,
            },
            schedule: Arc::new(Schedule {
                name: "default".into(),
                waits: vec![Duration::from_secs(1)],
                jitter: 0.0,
                jitter_both_ways: false,
                final_statuses: Vec::new(),
            }),
            timeout: Duration::from_secs(5),
            in_flight_max: 10,
            claimed_at: Instant::now(),
        }
    }

    fn push(dispatch: &Dispatch, jobs: impl IntoIterator<Item = Job>) {
        dispatch.push(jobs.into_iter().collect(), Instant::now() + LEASE);
    }

    /// Starts all that may start; answers with the targets.
    fn start_all(dispatch: &Dispatch) -> Vec<Job> {
        let mut started = Vec::new();
        while let Poll::Ready(Some(job)) = dispatch.poll_next(Waker::noop()) {
            started.push(job);
        }
        started
    }

    fn end(dispatch: &Dispatch, job: &Job, delivered: bool) -> Option<News> {
        let outcome = if delivered {
            Outcome::Delivered(Receipt::default())
        } else {
            Outcome::Failed(Failure {
                class: Class::Server,
                status: Some(500),
                detail: "500".into(),
                response: Bytes::new(),
                retry: Retry::OnSchedule,
                verdict: Verdict::None,
            })
        };
        dispatch.finished(&Attempt {
            lease: job.delivery.lease,
            url_is_stale: false,
            note: None,
            duration: Duration::ZERO,
            outcome,
            resolution: Resolution::Delivered,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_has_no_more_in_flight_than_its_limit() {
        let dispatch = dispatch(1000);
        push(&dispatch, (0..50).map(|id| job(id, 7)));
        let started = start_all(&dispatch);
        assert_eq!(started.len(), 10);
        end(&dispatch, &started[0], true);
        assert_eq!(start_all(&dispatch).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn targets_take_turns() {
        let dispatch = dispatch(1000);
        push(&dispatch, (0..5).map(|id| job(id, 1)));
        push(&dispatch, (5..10).map(|id| job(id, 2)));
        let order: Vec<i64> = start_all(&dispatch)
            .iter()
            .map(|job| job.delivery.target)
            .collect();
        assert_eq!(order, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_targets_that_never_answer_leave_room_for_one_that_does() {
        let dispatch = dispatch(1000);
        push(&dispatch, (0..5000).map(|id| job(id, 1 + id % 100)));
        assert!(start_all(&dispatch).len() < 1000);
        push(&dispatch, (5000..5005).map(|id| job(id, 500)));
        assert_eq!(start_all(&dispatch).len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_others_however_much_waits_for_those_that_never_answer() {
        let dispatch = dispatch(100);
        push(&dispatch, (0..5000).map(|id| job(id, 1 + id % 10)));
        start_all(&dispatch);
        assert!(dispatch.room() > 0);
        assert_eq!(dispatch.busy().len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_that_the_database_does_not_take_leave_no_room() {
        let dispatch = dispatch(10);
        for id in 0..20 {
            push(&dispatch, [job(id, 1)]);
            let job = start_all(&dispatch).remove(0);
            end(&dispatch, &job, true);
        }
        assert_eq!(dispatch.room(), 0);
        dispatch.settled([job(0, 1).delivery.lease]);
        assert_eq!(dispatch.room(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowded_target_starts_as_soon_as_others_end() {
        let dispatch = dispatch(16);
        push(&dispatch, (0..10).map(|id| job(id, 1)));
        let first = start_all(&dispatch);
        assert_eq!(first.len(), 3);
        for job in &first {
            end(&dispatch, job, true);
        }
        assert_eq!(start_all(&dispatch).len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_holds_its_target_and_gives_back_what_waited() {
        let dispatch = dispatch(1000);
        push(&dispatch, (0..30).map(|id| job(id, 7)));
        let started = start_all(&dispatch);
        let news: Vec<News> = started
            .iter()
            .filter_map(|job| end(&dispatch, job, false))
            .collect();
        assert_eq!(
            news.len(),
            2,
            "once at the first failure, once when it opened: {news:?}"
        );
        assert!(start_all(&dispatch).is_empty());
        assert_eq!(dispatch.busy(), [7]);
        let back = dispatch.take_held_back();
        assert_eq!(back.len(), 20);
        assert!(
            back.iter()
                .all(|(_, wait)| *wait == Some(Duration::from_secs(30)))
        );
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(dispatch.busy().is_empty());
        push(&dispatch, (100..110).map(|id| job(id, 7)));
        let probe = start_all(&dispatch);
        assert_eq!(probe.len(), 1);
        assert_eq!(
            end(&dispatch, &probe[0], true).map(|news| news.what),
            Some(Happening::Recovered)
        );
        assert_eq!(start_all(&dispatch).len(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn what_slept_past_its_lease_is_not_started() {
        let dispatch = dispatch(1000);
        push(&dispatch, [job(1, 7)]);
        tokio::time::advance(LEASE).await;
        assert!(start_all(&dispatch).is_empty());
        assert_eq!(dispatch.standing().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_claimed_again_while_its_old_attempt_is_out_counts_once_each() {
        let dispatch = dispatch(1000);
        push(&dispatch, [job(1, 7)]);
        let old = start_all(&dispatch).remove(0);
        let mut again = job(1, 7);
        again.delivery.lease.token = 2;
        push(&dispatch, [again]);
        let new = start_all(&dispatch).remove(0);
        end(&dispatch, &old, true);
        end(&dispatch, &new, true);
        assert_eq!(dispatch.standing().in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_gives_back_what_has_not_started_and_ends_the_workers() {
        let dispatch = dispatch(1000);
        push(&dispatch, (0..30).map(|id| job(id, 7)));
        let started = start_all(&dispatch);
        assert_eq!(dispatch.close().len(), 20);
        assert!(matches!(
            dispatch.poll_next(Waker::noop()),
            Poll::Ready(None)
        ));
        for job in &started {
            end(&dispatch, job, true);
        }
        dispatch.wait_until_idle().await;
    }

    #[tokio::test(start_paused = true)]
    async fn leases_are_kept_until_the_database_has_the_outcome_and_impatient_ones_given_up() {
        let dispatch = dispatch(1000);
        push(&dispatch, (0..30).map(|id| job(id, 7)));
        let started = start_all(&dispatch);
        end(&dispatch, &started[0], true);
        tokio::time::advance(Duration::from_mins(1)).await;
        let (extend, give_up) = dispatch.expiring(LEASE / 2, Duration::from_secs(30));
        assert_eq!((extend.len(), give_up.len()), (10, 20));
        dispatch.settled([started[0].delivery.lease]);
        let (extend, _) = dispatch.expiring(LEASE / 2, Duration::from_secs(30));
        assert_eq!(extend.len(), 9);
    }
}
