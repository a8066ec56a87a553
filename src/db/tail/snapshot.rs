//! What a statement could see: Postgres's `pg_snapshot`, with the few questions the tail asks of it.

use std::fmt;
use std::str::FromStr;

/// Transactions below `xmax` that are not `running` are finished: what they committed is visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The first id that was not handed out to any finished transaction.
    pub(super) xmax: u64,
    /// Those below it that were still running, ascending.
    pub(super) running: Vec<u64>,
}

/// A text that is no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a snapshot")]
pub struct NotASnapshot;

impl Snapshot {
    /// From before everything: sees nothing.
    pub fn of_nothing() -> Self {
        Self {
            xmax: 1,
            running: Vec::new(),
        }
    }

    /// From its parts, where they fit together.
    pub(super) fn new(xmax: u64, running: Vec<u64>) -> Result<Self, NotASnapshot> {
        let ascending = running.is_sorted_by(|left, right| left < right);
        let inside = running
            .first()
            .zip(running.last())
            .is_none_or(|(first, last)| *first > 0 && *last < xmax);
        if xmax == 0 || i64::try_from(xmax).is_err() || !ascending || !inside {
            return Err(NotASnapshot);
        }
        Ok(Self { xmax, running })
    }

    /// Everything below it is finished.
    pub fn xmin(&self) -> u64 {
        self.running.first().copied().unwrap_or(self.xmax)
    }

    /// Whether it sees what this transaction committed.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && self.running.binary_search(&xid).is_err()
    }

    /// Whether it sees all that the other one sees.
    pub fn includes(&self, other: &Self) -> bool {
        other.xmax <= self.xmax && !self.running.iter().any(|&xid| other.sees(xid))
    }

    /// What is left of it when ids from `first` on were forgotten in a crash, and are handed out a second time.
    #[must_use]
    pub fn before(mut self, first: u64) -> Self {
        let first = first.max(1);
        if first < self.xmax {
            self.xmax = first;
            self.running.retain(|&xid| xid < first);
        }
        self
    }

    /// The same, which sees this transaction as well.
    #[must_use]
    pub(super) fn and_sees(mut self, xid: u64) -> Self {
        if let Ok(at) = self.running.binary_search(&xid) {
            self.running.remove(at);
        } else if xid >= self.xmax {
            self.running.extend(self.xmax..xid);
            self.xmax = xid + 1;
        }
        self
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:", self.xmin(), self.xmax)?;
        for (number, xid) in self.running.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(formatter, "{comma}{xid}")?;
        }
        Ok(())
    }
}

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let (Some(xmin), Some(xmax), Some(running), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotASnapshot);
        };
        let number = |text: &str| text.parse().map_err(|_| NotASnapshot);
        let running = running.split(',').filter(|xid| !xid.is_empty());
        let snapshot = Self::new(
            number(xmax)?,
            running.map(number).collect::<Result<_, _>>()?,
        )?;
        // It may be lower than all of them: the transaction that took the snapshot counts, and is not listed.
        let xmin: u64 = number(xmin)?;
        if xmin == 0 || xmin > snapshot.xmin() {
            return Err(NotASnapshot);
        }
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::{NotASnapshot, Snapshot};

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap()
    }

    #[test]
    fn it_reads_and_writes_what_postgres_writes() {
        for text in ["10:20:10,14,15", "20:20:", "1:1:"] {
            assert_eq!(snapshot(text).to_string(), text);
        }
        for text in ["", "1:2", "x:2:", "5:5:5", "1:9:4,3", "1:9:4,4", "0:0:"] {
            assert_eq!(text.parse::<Snapshot>(), Err(NotASnapshot), "{text}");
        }
        assert_eq!(Snapshot::of_nothing().to_string(), "1:1:");
    }

    #[test]
    fn it_sees_what_was_finished() {
        let seen = snapshot("10:20:10,14");
        let visible: Vec<u64> = (8..22).filter(|&xid| seen.sees(xid)).collect();
        assert_eq!(visible, [8, 9, 11, 12, 13, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn a_later_one_includes_an_earlier_one_and_not_the_other_way_round() {
        let (early, late) = (snapshot("10:20:10,14"), snapshot("14:25:14,22"));
        assert!(late.includes(&early) && early.includes(&early));
        assert!(!early.includes(&late));
        assert!(!snapshot("10:20:10,14").includes(&snapshot("14:20:14")));
    }

    #[test]
    fn ids_that_a_crash_forgot_are_seen_no_more() {
        assert_eq!(snapshot("10:20:10,14").before(12), snapshot("10:12:10"));
        assert_eq!(snapshot("10:20:10,14").before(30), snapshot("10:20:10,14"));
    }

    #[test]
    fn one_transaction_more_can_be_seen() {
        let check = |before: &str, xid: u64, after: &str| {
            assert_eq!(snapshot(before).and_sees(xid).to_string(), after);
        };
        check("10:20:10,14", 14, "10:20:10");
        check("10:20:10", 22, "10:23:10,20,21");
        check("10:20:10", 20, "10:21:10");
        check("10:20:10", 12, "10:20:10");
    }
}
