//! How things stand here, for metrics.

use tokio::time::Instant;

use super::Dispatch;
use crate::delivery::breaker::BreakerState;

/// How things stand, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::delivery) struct Standing {
    /// Attempts in flight.
    pub(in crate::delivery) in_flight: u32,
    /// Deliveries waiting here.
    pub(in crate::delivery) waiting: u32,
    /// Targets by breaker: closed, open, probing.
    pub(in crate::delivery) breakers: [u32; 3],
}

impl Dispatch {
    /// How things stand. Also forgets targets that were long unused.
    pub(in crate::delivery) fn standing(&self) -> Standing {
        let now = Instant::now();
        let mut state = self.lock();
        state
            .targets
            .retain(|_, target| !target.is_forgettable(now, self.limits.breaker.probe_max));
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
}
