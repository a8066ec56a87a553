//! What a client that acknowledges event by event has yet to acknowledge.
//!
//! ```text
//!  ── acknowledged ──│ cursor │── window: sent since, in order ──▶
//!     but for `open`
//! ```
//!
//! The cursor moves up to the last event that was acknowledged. What was sent before that one and has not been acknowledged
//! by then was passed over (its handler failed, say) and goes to `open`: a client that comes back is sent what is open, then
//! everything after the cursor.
//!
//! Both are bounded. When one is full the ledger is frozen: the cursor goes no further, so a client that comes back is sent
//! everything from there on, acknowledged or not. It loses nothing; it costs repetitions.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::db::subscriptions::{Place, Subscription};
use crate::db::tail::{Event, Stem};

/// Events sent since the cursor.
const WINDOW_MAX: usize = 4096;
/// Events that were passed over.
const OPEN_MAX: usize = 1000;

/// What one connection has yet to acknowledge.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Which subscription it is.
    pub(super) subscription: Subscription,
    cursor: Position,
    open: BTreeSet<i64>,
    window: VecDeque<Sent>,
    /// Of the window, how many are acknowledged.
    acknowledged: usize,
    /// It has acknowledged something.
    answers: bool,
    frozen: bool,
}

/// A cursor, made into a text when it is asked for.
#[derive(Debug)]
enum Position {
    Text(String),
    After(Arc<Stem>, i64),
}

/// An event that was sent.
#[derive(Debug)]
struct Sent {
    id: i64,
    nonce: i32,
    stem: Arc<Stem>,
    acknowledged: bool,
}

/// What is to be done with the connection after an event was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Good,
    /// It acknowledges, but far more slowly than events come.
    Slow,
}

impl Ledger {
    /// At a place.
    pub(super) fn new(subscription: Subscription, place: Place) -> Self {
        Self {
            subscription,
            cursor: Position::Text(place.cursor),
            open: place.unacknowledged.into_iter().collect(),
            window: VecDeque::new(),
            acknowledged: 0,
            answers: false,
            frozen: false,
        }
    }

    /// An event was sent, or begun to be.
    pub(super) fn sent(&mut self, event: &Event, stem: &Arc<Stem>) -> Verdict {
        if self.frozen {
            return Verdict::Good;
        }
        if self.window.len() == WINDOW_MAX {
            self.freeze();
            let slow = self.answers && self.acknowledged == 0;
            return if slow { Verdict::Slow } else { Verdict::Good };
        }
        self.window.push_back(Sent {
            id: event.id,
            nonce: event.nonce,
            stem: Arc::clone(stem),
            acknowledged: false,
        });
        Verdict::Good
    }

    /// The client has dealt with an event. False where that changes nothing: it was never sent, or is acknowledged already.
    pub(super) fn acknowledge(&mut self, id: i64, nonce: i32) -> bool {
        if self.open.remove(&id) {
            return true;
        }
        let mut waiting = self.window.iter_mut();
        let sent = waiting.find(|sent| (sent.id, sent.nonce) == (id, nonce));
        match sent {
            Some(sent) if !sent.acknowledged => sent.acknowledged = true,
            _ => return false,
        }
        self.acknowledged += 1;
        self.answers = true;
        self.settle();
        true
    }

    /// Of those that are open, the ones that were not found any more.
    pub(super) fn forget(&mut self, ids: &[i64], found: &[Event]) {
        for id in ids {
            if !found.iter().any(|event| event.id == *id) {
                self.open.remove(id);
            }
        }
    }

    /// Moves the cursor up to the last event that is acknowledged.
    fn settle(&mut self) {
        while self.acknowledged > 0
            && let Some(first) = self.window.front()
            && (first.acknowledged || self.open.len() < OPEN_MAX)
            && let Some(first) = self.window.pop_front()
        {
            if first.acknowledged {
                self.acknowledged -= 1;
            } else {
                self.open.insert(first.id);
            }
            self.cursor = Position::After(first.stem, first.id);
        }
    }

    /// Whether it may be sent more of what it missed: what is under way to it must not outgrow the window.
    pub(super) fn has_room(&self) -> bool {
        self.frozen || self.window.len() < WINDOW_MAX / 2
    }

    /// The cursor goes no further than what was sent so far.
    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Where it is, to be written down.
    pub(super) fn place(&self) -> Place {
        let cursor = match &self.cursor {
            Position::Text(text) => text.clone(),
            Position::After(stem, id) => stem.cursor(*id),
        };
        Place {
            cursor,
            unacknowledged: self.open.iter().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use time::OffsetDateTime;

    use super::{Arc, Event, Ledger, OPEN_MAX, Place, Stem, Subscription, Verdict, WINDOW_MAX};
    use crate::db::tail::{Cursor, Epoch, Snapshot};

    /// A ledger, and the stem of all cursors.
    fn ledger() -> (Ledger, Arc<Stem>) {
        let place = Place {
            cursor: "start".to_owned(),
            unacknowledged: Vec::new(),
        };
        let nothing = Snapshot::of_nothing();
        let stem = Arc::new(Cursor::stem(Epoch(1), &nothing, &nothing));
        (Ledger::new(Subscription { id: 1, claim: 1 }, place), stem)
    }

    fn send(ledger: &mut Ledger, stem: &Arc<Stem>, id: i64) -> Verdict {
        let event = Event {
            id,
            nonce: 7,
            instance: 1,
            event_type: "x".into(),
            data: Bytes::from_static(b"{}"),
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            xid: 1,
            sender: None,
        };
        ledger.sent(&event, stem)
    }

    fn check(ledger: &Ledger, stem: &Stem, id: i64, open: &[i64]) {
        let place = ledger.place();
        let cursor = if id == 0 {
            "start".to_owned()
        } else {
            stem.cursor(id)
        };
        assert_eq!(
            (place.cursor, place.unacknowledged),
            (cursor, open.to_vec())
        );
    }

    #[test]
    fn the_cursor_follows_the_acknowledgements_and_what_is_passed_over_stays_open() {
        let (mut ledger, stem) = ledger();
        for id in 1..=4 {
            send(&mut ledger, &stem, id);
        }
        check(&ledger, &stem, 0, &[]);
        assert!(ledger.acknowledge(1, 7));
        check(&ledger, &stem, 1, &[]);
        assert!(ledger.acknowledge(3, 7));
        check(&ledger, &stem, 3, &[2]);
        assert!(ledger.acknowledge(2, 7));
        check(&ledger, &stem, 3, &[]);
    }

    #[test]
    fn what_was_never_sent_or_is_acknowledged_already_changes_nothing() {
        let (mut ledger, stem) = ledger();
        send(&mut ledger, &stem, 1);
        assert!(!ledger.acknowledge(2, 7) && !ledger.acknowledge(1, 8));
        assert!(ledger.acknowledge(1, 7) && !ledger.acknowledge(1, 7));
    }

    #[test]
    fn one_that_is_full_goes_no_further_and_loses_nothing() {
        let (mut ledger, stem) = ledger();
        let last = i64::try_from(2 * OPEN_MAX + 2).unwrap();
        for id in 1..=last {
            assert_eq!(send(&mut ledger, &stem, id), Verdict::Good);
            if id % 2 == 0 {
                assert!(ledger.acknowledge(id, 7));
            }
        }
        // The odd ones are open; one more has no place, so the cursor stands before it.
        let open: Vec<i64> = (1..last - 1).step_by(2).collect();
        assert_eq!(open.len(), OPEN_MAX);
        check(&ledger, &stem, last - 2, &open);
    }

    #[test]
    fn who_acknowledges_too_slowly_is_cut_and_who_never_does_is_not() {
        let fill = |ledger: &mut Ledger, stem: &Arc<Stem>, from: i64| {
            for id in (from..).take(WINDOW_MAX) {
                assert_eq!(send(ledger, stem, id), Verdict::Good);
            }
            send(ledger, stem, 100_000)
        };
        let (mut silent, stem) = ledger();
        assert_eq!(fill(&mut silent, &stem, 1), Verdict::Good);
        check(&silent, &stem, 0, &[]);
        let (mut slow, stem) = ledger();
        send(&mut slow, &stem, 1);
        slow.acknowledge(1, 7);
        assert_eq!(fill(&mut slow, &stem, 2), Verdict::Slow);
        let (mut busy, stem) = ledger();
        for id in 1..=2048 {
            assert!(busy.has_room());
            send(&mut busy, &stem, id);
        }
        assert!(!busy.has_room());
    }
}
