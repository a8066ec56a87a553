//! What was committed against what the receiver saw. Pure; this is what decides the demo's exit status.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::receiver::Arrival;
use crate::db::demo::{Address, Owed};

/// The outcome of a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Deliveries that what was committed asks for.
    pub(super) owed: usize,
    /// Of them, those the receiver accepted, with the right body.
    pub(super) received: usize,
    /// Times it accepted one of them again, which at-least-once allows.
    pub(super) again: usize,
    /// Times it answered with an error.
    pub(super) refused: usize,
    /// Of those owed, those still to be delivered, where that is allowed.
    pub(super) waiting: usize,
    /// Of those owed, those that are dead letters, where that is allowed.
    pub(super) dead: usize,
    /// Everything that is not as it must be.
    pub(super) differences: Vec<Difference>,
}

/// One thing that is not as it must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// What it is about.
    pub(super) what: String,
    /// What is wrong.
    pub(super) problem: String,
}

impl Difference {
    /// About a delivery.
    fn of(address: &Address, problem: impl Into<String>) -> Self {
        Self {
            what: format!("{} for {}", address.webhook_id, address.to),
            problem: problem.into(),
        }
    }

    /// About a row that is committed and became no event.
    pub(super) fn no_event(row: String) -> Self {
        Self {
            what: row,
            problem: "committed, but there is no event of it".into(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.what, self.problem)
    }
}

/// When the two are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nothing is to be delivered any more.
    Settled,
    /// Nobody delivers any more, in the midst of whatever it was: deliveries may be waiting, or be dead letters.
    Stopped,
}

/// Compares.
pub(super) fn compare(owed: &[Owed], arrivals: &[Arrival], moment: Moment) -> Comparison {
    let mut seen: HashMap<&Address, Vec<&Arrival>> = HashMap::new();
    for arrival in arrivals {
        seen.entry(&arrival.address).or_default().push(arrival);
    }
    let mut comparison = Comparison {
        owed: owed.len(),
        refused: arrivals.iter().filter(|arrival| !arrival.accepted).count(),
        ..Comparison::default()
    };
    for owed in owed {
        let seen = seen.get(&owed.address).map_or(&[][..], Vec::as_slice);
        comparison.look_at(owed, seen, moment);
    }
    let known: HashSet<&Address> = owed.iter().map(|owed| &owed.address).collect();
    for (address, seen) in seen {
        if let Some(fault) = seen.iter().find_map(|arrival| arrival.fault) {
            comparison.differences.push(Difference::of(address, fault));
        } else if !known.contains(address) {
            let problem = "the receiver saw it, but nobody committed it";
            comparison
                .differences
                .push(Difference::of(address, problem));
        }
    }
    comparison
}

impl Comparison {
    /// One delivery that is owed, and its arrivals.
    fn look_at(&mut self, owed: &Owed, seen: &[&Arrival], moment: Moment) {
        let accepted: Vec<_> = seen.iter().filter(|arrival| arrival.accepted).collect();
        let problem = match (owed.status.as_deref(), accepted.as_slice()) {
            (None, _) => "committed, but it was never queued".to_owned(),
            (Some("delivered"), []) => {
                "the queue says delivered, but the receiver never accepted it".to_owned()
            }
            (Some("pending"), []) if moment == Moment::Stopped => {
                self.waiting += 1;
                return;
            }
            (Some("failed"), []) if moment == Moment::Stopped => {
                self.dead += 1;
                return;
            }
            (Some(status), []) => {
                format!("the receiver never accepted it; the queue says {status}")
            }
            (Some(_), [_, ..])
                if accepted
                    .iter()
                    .any(|arrival| arrival.digest[..] != owed.digest[..]) =>
            {
                "what arrived is not what was committed".to_owned()
            }
            (Some(status), [_, again @ ..]) => {
                self.received += 1;
                self.again += again.len();
                // Stopped, an answer may have come too late for the queue: it would be delivered again.
                if status == "delivered" || (status == "pending" && moment == Moment::Stopped) {
                    return;
                }
                format!("the receiver accepted it, but the queue says {status}")
            }
        };
        self.differences
            .push(Difference::of(&owed.address, problem));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn address(id: &str) -> Address {
        Address {
            to: "acme/crm".to_owned(),
            webhook_id: id.to_owned(),
        }
    }

    fn owed(id: &str, status: Option<&str>) -> Owed {
        Owed {
            address: address(id),
            digest: vec![7; 32],
            status: status.map(str::to_owned),
        }
    }

    fn arrival(id: &str, accepted: bool) -> Arrival {
        Arrival {
            address: address(id),
            digest: [7; 32],
            at: Instant::now(),
            accepted,
            fault: None,
        }
    }

    /// Asserts what is found between one delivery that is owed and its arrivals.
    fn finds(owed: &Owed, arrivals: &[Arrival], moment: Moment, problem: Option<&str>) {
        let found = compare(std::slice::from_ref(owed), arrivals, moment).differences;
        let found: Vec<_> = found
            .iter()
            .map(|difference| &*difference.problem)
            .collect();
        assert_eq!(found, Vec::from_iter(problem));
    }

    #[test]
    fn what_is_as_it_must_be_is_counted() {
        let owed = [owed("a", Some("delivered")), owed("b", Some("delivered"))];
        let arrivals = [
            arrival("a", false),
            arrival("a", true),
            arrival("b", true),
            arrival("b", true),
        ];
        let found = compare(&owed, &arrivals, Moment::Settled);
        assert_eq!(
            (found.owed, found.received, found.again, found.refused),
            (2, 2, 1, 1)
        );
        assert_eq!(found.differences, []);
    }

    #[test]
    fn what_is_missing_is_found() {
        let settled = Moment::Settled;
        finds(
            &owed("a", None),
            &[],
            settled,
            Some("committed, but it was never queued"),
        );
        finds(
            &owed("a", Some("delivered")),
            &[],
            settled,
            Some("the queue says delivered, but the receiver never accepted it"),
        );
        for status in ["pending", "failed"] {
            let problem = format!("the receiver never accepted it; the queue says {status}");
            finds(
                &owed("a", Some(status)),
                &[arrival("a", false)],
                settled,
                Some(&problem),
            );
        }
    }

    #[test]
    fn what_nobody_committed_is_found() {
        let arrivals = [arrival("a", true), arrival("b", true)];
        finds(
            &owed("a", Some("delivered")),
            &arrivals,
            Moment::Settled,
            Some("the receiver saw it, but nobody committed it"),
        );
    }

    #[test]
    fn another_body_is_found() {
        let mut other = arrival("a", true);
        other.digest = [8; 32];
        finds(
            &owed("a", Some("delivered")),
            &[arrival("a", true), other],
            Moment::Settled,
            Some("what arrived is not what was committed"),
        );
    }

    #[test]
    fn a_request_that_was_wrong_is_found_though_a_later_one_was_right() {
        let mut wrong = arrival("a", false);
        wrong.fault = Some("the signature is not right");
        finds(
            &owed("a", Some("delivered")),
            &[wrong, arrival("a", true)],
            Moment::Settled,
            Some("the signature is not right"),
        );
    }

    #[test]
    fn a_queue_that_says_otherwise_is_found() {
        for status in ["pending", "failed"] {
            let problem = format!("the receiver accepted it, but the queue says {status}");
            finds(
                &owed("a", Some(status)),
                &[arrival("a", true)],
                Moment::Settled,
                Some(&problem),
            );
        }
    }

    #[test]
    fn what_waits_is_no_difference_once_nobody_delivers_any_more() {
        let found = compare(&[owed("a", Some("pending"))], &[], Moment::Stopped);
        assert_eq!((found.waiting, found.differences.len()), (1, 0));
        let found = compare(&[owed("a", Some("failed"))], &[], Moment::Stopped);
        assert_eq!((found.dead, found.differences.len()), (1, 0));
        finds(
            &owed("a", Some("pending")),
            &[arrival("a", true)],
            Moment::Stopped,
            None,
        );
    }
}
