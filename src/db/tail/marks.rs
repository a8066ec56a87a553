//! Marks: how far the event ids were when a transaction id was the next to be handed out.
//!
//! A mark `(xid, id)` says: whoever has an xid from this one on draws only event ids above this one. The proof is at the
//! head of the module. They bound from below where the rows of unfinished transactions can stand, so that the tail needs
//! no index on the xid.

use uuid::Uuid;

/// How many are kept, and sent along with each step.
const MARKS_MAX: usize = 64;

/// One mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The next transaction id.
    pub xid: u64,
    /// The last event id drawn, read no later than `xid`.
    pub id: i64,
}

/// A mark, and when it was true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatedMark {
    /// The mark.
    pub mark: Mark,
    /// From one crash to the next.
    pub incarnation: Uuid,
}

/// The marks this process has made, ascending. Dense near the present, sparse far back: behind a transaction that is open
/// for an hour the short ones are still bounded closely.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<Mark>);

impl Marks {
    /// One more. What is older than the last one at or below `xmin`, the oldest transaction that is not finished, will
    /// never be asked for.
    pub(super) fn add(&mut self, mark: Mark, xmin: u64) {
        match self.0.last_mut() {
            // Both only rise. The same xid with a later id says more.
            Some(last) if last.xid == mark.xid => last.id = last.id.max(mark.id),
            Some(last) if last.id == mark.id => {}
            _ => self.0.push(mark),
        }
        let settled = self.0.partition_point(|mark| mark.xid <= xmin);
        self.0.drain(..settled.saturating_sub(1));
        if self.0.len() > MARKS_MAX {
            let mut number = 0_usize;
            self.0.retain(|_| {
                number += 1;
                // The first is the only bound of the oldest; the newer half stays dense.
                number == 1 || number > MARKS_MAX / 2 || number.is_multiple_of(2)
            });
        }
    }

    /// Forgets all: transaction ids may have begun to recur.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// As parallel lists, for a statement.
    pub(super) fn lists(&self) -> (Vec<String>, Vec<i64>) {
        let pairs = self.0.iter().map(|mark| (mark.xid.to_string(), mark.id));
        pairs.unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::{MARKS_MAX, Mark, Marks};

    #[test]
    fn what_is_settled_is_forgotten_but_for_one_bound() {
        let mut marks = Marks::default();
        for xid in 1..=10 {
            marks.add(
                Mark {
                    xid,
                    id: xid.cast_signed() * 100,
                },
                0,
            );
        }
        marks.add(Mark { xid: 11, id: 1100 }, 5);
        assert_eq!(marks.lists().1, [500, 600, 700, 800, 900, 1000, 1100]);
    }

    #[test]
    fn behind_a_long_transaction_they_stay_few_and_the_latest_are_all_there() {
        let mut marks = Marks::default();
        for xid in 1..=100_000 {
            marks.add(
                Mark {
                    xid,
                    id: xid.cast_signed(),
                },
                1,
            );
        }
        let (_, ids) = marks.lists();
        assert!(ids.len() <= MARKS_MAX, "{}", ids.len());
        assert_eq!(ids.first(), Some(&1));
        let latest: Vec<i64> = (100_000 - 15..=100_000).collect();
        assert!(ids.ends_with(&latest), "{ids:?}");
    }
}
