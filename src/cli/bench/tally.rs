//! The script of a soak, and what its receiver makes of what it is sent: which deliveries fail, and whether each of the others
//! came, and once.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Every so-many-th delivery fails at its first attempt.
const STUMBLES_EVERY: u64 = 101;
/// Every so-many-th fails whenever it is tried, and ends as a dead letter.
pub(super) const DIES_EVERY: u64 = 10_007;

/// What came, by the numbers of the deliveries, from 1 on.
#[derive(Debug)]
pub(super) struct Tally {
    accepted: Vec<AtomicU8>,
    refused: Vec<AtomicU8>,
    unknown: AtomicU64,
}

/// What is to be said of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// Deliveries that are to arrive and were never accepted.
    pub missing: u64,
    /// How often something was accepted that had been before.
    pub again: u64,
    /// Requests for nothing that was queued.
    pub unknown: u64,
    /// How often something was refused.
    pub refused: u64,
}

impl Tally {
    /// Of so many deliveries.
    pub(super) fn of(deliveries: u64) -> Self {
        let counts = || (0..deliveries).map(|_| AtomicU8::new(0)).collect();
        Self {
            accepted: counts(),
            refused: counts(),
            unknown: AtomicU64::new(0),
        }
    }

    /// A request came, for the delivery of that number, if it had one: whether it is accepted.
    pub(super) fn hear(&self, number: Option<u64>) -> bool {
        let place = number
            .and_then(|number| usize::try_from(number.checked_sub(1)?).ok())
            .filter(|place| *place < self.accepted.len());
        let (Some(number), Some(place)) = (number, place) else {
            self.unknown.fetch_add(1, Ordering::Relaxed);
            return true;
        };
        let never_tried = count(&self.accepted[place]) + count(&self.refused[place]) == 0;
        let refuses = is_to_die(number) || number.is_multiple_of(STUMBLES_EVERY) && never_tried;
        let counts = if refuses {
            &self.refused
        } else {
            &self.accepted
        };
        counts[place].fetch_add(1, Ordering::Relaxed);
        !refuses
    }

    /// So far.
    pub(super) fn verdict(&self) -> Verdict {
        let healthy = (1..)
            .zip(&self.accepted)
            .filter(|(number, _)| !is_to_die(*number));
        Verdict {
            missing: healthy.filter(|(_, times)| count(times) == 0).count() as u64,
            again: self
                .accepted
                .iter()
                .map(|times| count(times).saturating_sub(1))
                .sum(),
            unknown: self.unknown.load(Ordering::Relaxed),
            refused: self.refused.iter().map(count).sum(),
        }
    }
}

/// Whether that one ends as a dead letter.
fn is_to_die(number: u64) -> bool {
    number.is_multiple_of(DIES_EVERY)
}

fn count(times: &AtomicU8) -> u64 {
    times.load(Ordering::Relaxed).into()
}

#[cfg(test)]
mod tests {
    use super::{DIES_EVERY, STUMBLES_EVERY, Tally, Verdict};

    #[test]
    fn what_is_missing_what_came_again_and_what_nobody_queued_are_told_apart() {
        let tally = Tally::of(DIES_EVERY);
        for number in (1..=DIES_EVERY).filter(|number| *number != 7) {
            tally.hear(Some(number));
        }
        let stumbled = DIES_EVERY / STUMBLES_EVERY;
        let with = |missing, again, unknown, refused| Verdict {
            missing,
            again,
            unknown,
            refused: stumbled + refused,
        };
        // Those that stumbled, one that never came, and one that is never to arrive.
        assert_eq!(tally.verdict(), with(stumbled + 1, 0, 0, 1));
        for number in (STUMBLES_EVERY..DIES_EVERY).step_by(101) {
            assert!(tally.hear(Some(number)));
        }
        assert!(!tally.hear(Some(DIES_EVERY)));
        assert_eq!(tally.verdict(), with(1, 0, 0, 2));
        tally.hear(Some(7));
        tally.hear(Some(7));
        tally.hear(None);
        tally.hear(Some(0));
        tally.hear(Some(DIES_EVERY + 1));
        assert_eq!(tally.verdict(), with(0, 1, 3, 2));
    }
}
