//! One target: what waits for it, how many it may have in flight, and what its last attempts say of it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Job;
use crate::channels::{Class, Outcome, Verdict};
use crate::delivery::breaker::{Breaker, BreakerSettings, BreakerState, Transition};

/// A target that has not shown its pace may have waiting one part in so many of the room that is left.
const SHARE_OF_ROOM: u32 = 8;
/// For how long at most a target's waiting deliveries should last at its present pace.
const WAITING_MAX: Duration = Duration::from_millis(250);
/// Waiting deliveries a target may always have.
const WAITING_MIN: u32 = 32;
/// How often it is said of a target that it answers, though nothing has changed: an UPDATE that mostly finds nothing to do.
const SAY_WELL_EVERY: Duration = Duration::from_mins(5);
/// How long an unused target is remembered.
const FORGET_AFTER: Duration = Duration::from_mins(10);

/// What happened to an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::delivery) enum Happening {
    /// Failures began, or go on; with what the last one said.
    Failing(String),
    /// It was delivered to after failures.
    Recovered,
    /// It asked not to be sent to any more.
    AskedToPause(String),
}

/// A target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) waiting: VecDeque<Job>,
    pub(super) in_flight: u32,
    /// Its limit, and how much of it is allowed now.
    pub(super) most: u32,
    pub(super) allowed: u32,
    pub(super) in_ready: bool,
    pub(super) breaker: Breaker,
    pub(super) failing: bool,
    /// When it was last said that it answers. Another worker, or we before a restart, may have said that it does not.
    pub(super) well_since: Option<Instant>,
    pub(super) pace: Pace,
    pub(super) used_at: Instant,
    /// The endpoint's version when it was last claimed for.
    pub(super) version: Option<i64>,
}

/// Attempts finished per second, roughly.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    count: u32,
    per_second: f64,
}

impl Target {
    pub(super) fn new(breaker: &BreakerSettings, most: u32, now: Instant) -> Self {
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
    pub(super) fn judge(
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
    pub(super) fn waiting_most(&self, room: u32) -> u32 {
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
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting
            .iter()
            .map(|job| job.delivery.payload.len())
            .sum()
    }

    /// A probe is out, or waits to go: no second one is needed.
    pub(super) fn probe_is_taken(&self) -> bool {
        match self.breaker.state() {
            BreakerState::Closed => false,
            BreakerState::Open { .. } => !self.waiting.is_empty(),
            BreakerState::Probing => true,
        }
    }

    /// Whether nothing is lost with it. What waits behind an open breaker comes by at each probe; where nothing has for two of
    /// them the endpoint was deleted, or its last delivery died, and nobody would ever close it.
    pub(super) fn is_forgettable(&self, now: Instant, probe_max: Duration) -> bool {
        let unused = now.duration_since(self.used_at);
        self.waiting.is_empty()
            && self.in_flight == 0
            && unused >= FORGET_AFTER
            && (self.breaker.is_fresh() || unused >= probe_max * 2)
    }
}

impl Pace {
    pub(super) fn count(&mut self, now: Instant) {
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
