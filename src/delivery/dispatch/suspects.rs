//! Deliveries over which workers have died again and again: which of them may be tried now.
//!
//! One of them may end its process, with all that is in flight beside it. Tried together they would all count as the cause, and
//! be buried for what one of them did. So they are tried one at a time, and the others are not even held meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Lease;

/// Whose attempt has begun has this long to end its process; longer ones are not waited for.
const TURN: Duration = Duration::from_secs(1);
/// For how long an attempt may not begin before the turn is another one's.
const WAITING_MAX: Duration = Duration::from_mins(1);
/// From one place in the line to the next.
const STEP: Duration = Duration::from_millis(100);

/// Those of one worker process.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Whose turn it is, and until when at most.
    trying: Option<(Lease, Instant)>,
    /// When the last of those that were sent away may come back.
    line_ends: Option<Instant>,
}

impl Suspects {
    /// None where it may be tried now; else after which wait to ask again.
    pub(super) fn turn_of(&mut self, lease: Lease, now: Instant) -> Option<Duration> {
        if self.trying.is_none_or(|(_, until)| until <= now) {
            self.trying = Some((lease, now + WAITING_MAX));
            return None;
        }
        let place = self.line_ends.map_or(now, |end| end.max(now)) + STEP;
        self.line_ends = Some(place);
        Some(place - now)
    }

    /// Its attempt begins.
    pub(super) fn started(&mut self, lease: Lease, now: Instant) {
        if let Some((trying, until)) = &mut self.trying
            && *trying == lease
        {
            *until = now + TURN;
        }
    }

    /// It has been tried, or will not be.
    pub(super) fn ended(&mut self, lease: Lease) {
        self.trying.take_if(|(trying, _)| *trying == lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_has_its_turn_and_the_others_come_back_one_after_the_other() {
        let lease = |delivery| Lease { delivery, token: 1 };
        let mut suspects = Suspects::default();
        let now = Instant::now();
        assert_eq!(suspects.turn_of(lease(1), now), None);
        assert_eq!(suspects.turn_of(lease(2), now), Some(STEP));
        assert_eq!(suspects.turn_of(lease(3), now), Some(STEP * 2));
        assert_eq!(suspects.turn_of(lease(2), now + STEP), Some(STEP * 2));
        suspects.ended(lease(3));
        // It has not even begun.
        assert!(suspects.turn_of(lease(4), now + TURN * 2).is_some());
        suspects.ended(lease(1));
        assert_eq!(suspects.turn_of(lease(3), now + TURN * 2), None);
        suspects.started(lease(3), now + TURN * 2);
        assert!(suspects.turn_of(lease(4), now + TURN * 2).is_some());
        // One that takes long keeps nobody waiting for ever.
        assert_eq!(suspects.turn_of(lease(4), now + TURN * 3), None);
    }
}
