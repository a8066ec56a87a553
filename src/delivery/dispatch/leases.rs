//! What becomes of leases while their deliveries are here: extended, given up, held back.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Dispatch;
use super::state::Stage;
use super::target::Target;
use crate::db::queue::{Due, GivingBack};
use crate::delivery::breaker::BreakerState;
use crate::model::Lease;

impl Dispatch {
    /// Leases that end within `margin`, to be extended; those that have waited longer than `patience` are given up instead.
    pub(in crate::delivery) fn expiring(
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
    pub(in crate::delivery) fn extended(&self, asked: &[Lease], kept: &[i64], lease_ends: Instant) {
        let mut state = self.lock();
        let kept: HashSet<i64> = kept.iter().copied().collect();
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
    pub(in crate::delivery) fn take_held_back(&self) -> Vec<GivingBack> {
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
                        .map(|job| (job.delivery.lease, Due::SetAside(until - now))),
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

    /// Whether a delivery over which workers have died may be tried now; else after which wait to ask again.
    pub(in crate::delivery) fn turn_of_suspect(&self, lease: Lease) -> Option<Duration> {
        self.lock().suspects.turn_of(lease, Instant::now())
    }

    /// Notes what could not be given back yet, because somebody has it locked: the keeper tries again.
    pub(in crate::delivery) fn return_later(&self, locked: Vec<GivingBack>) {
        self.lock().returning.extend(locked);
    }

    /// Takes what is to be given back again.
    pub(in crate::delivery) fn take_returning(&self) -> Vec<GivingBack> {
        std::mem::take(&mut self.lock().returning)
    }

    /// Endpoints that are left alone for now, with the version that was found wanting.
    pub(in crate::delivery) fn suspended(&self) -> Vec<(i64, i64)> {
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
    pub(in crate::delivery) fn forgive(&self, endpoint: i64, version: i64) {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(target) = state.targets.get_mut(&endpoint) {
            target.breaker.forgive(now, &self.limits.breaker);
            target.version = Some(version);
        }
        state.make_ready(endpoint);
        state.wake();
    }
}
