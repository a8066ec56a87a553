//! What has been received and not acknowledged: pure, so that its promises can be tested.
//!
//! The server knows one position, *everything up to here is dealt with*. So events are kept in the order of the stream from
//! the first one that is not handled; those behind it may be handled, but the position waits for it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::Event;

/// How many handled events are remembered, to know them again.
const REMEMBERED: usize = 4096;

/// What was received.
#[derive(Debug)]
pub(super) struct Ledger {
    /// From the first that is not handled.
    outstanding: VecDeque<Item>,
    /// How many there may be.
    window: usize,
    /// The ids of those, and of the handled ones that are remembered.
    known: HashSet<String>,
    /// Handled, the oldest first.
    handled: VecDeque<String>,
    /// Everything up to here has been handled.
    position: Option<String>,
}

/// One event.
#[derive(Debug)]
struct Item {
    event: Arc<Event>,
    /// Where a reader is after it, as it was told last.
    cursor: String,
    state: State,
    /// How often its handler has failed.
    failures: u32,
}

/// How far one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be handed out, not before this.
    Due(Instant),
    /// Handed out.
    Out,
    /// Handled.
    Done,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Hand this out.
    Event(Arc<Event>),
    /// Wait until then, or for another event.
    At(Instant),
    /// Wait for an event.
    Nothing,
}

impl Ledger {
    /// Empty.
    pub(super) fn new(window: usize) -> Self {
        Self {
            outstanding: VecDeque::new(),
            window: window.max(1),
            known: HashSet::new(),
            handled: VecDeque::new(),
            position: None,
        }
    }

    /// Takes in an event. False where it came before: it is not handed out again for that.
    pub(super) fn receive(&mut self, event: Event, now: Instant) -> bool {
        if !self.known.insert(event.id.clone()) {
            let waiting = !self.outstanding.is_empty();
            // After a crash of the database the old cursor may be worth less.
            match self.find(&event.id) {
                Some(item) => item.cursor = event.cursor,
                None if waiting => {}
                None => self.position = Some(event.cursor),
            }
            return false;
        }
        self.outstanding.push_back(Item {
            cursor: event.cursor.clone(),
            event: Arc::new(event),
            state: State::Due(now),
            failures: 0,
        });
        true
    }

    /// Whether no more may be taken in.
    pub(super) fn is_full(&self) -> bool {
        self.outstanding.len() >= self.window
    }

    /// The first that is due.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let mut earliest: Option<Instant> = None;
        for item in &mut self.outstanding {
            match item.state {
                State::Due(due) if due <= now => {
                    item.state = State::Out;
                    return Next::Event(Arc::clone(&item.event));
                }
                State::Due(due) => earliest = Some(earliest.map_or(due, |known| known.min(due))),
                State::Out | State::Done => {}
            }
        }
        earliest.map_or(Next::Nothing, Next::At)
    }

    /// One that was handed out has been handled.
    pub(super) fn done(&mut self, id: &str) {
        if let Some(item) = self.find(id) {
            item.state = State::Done;
        }
        while let Some(first) = self
            .outstanding
            .pop_front_if(|item| item.state == State::Done)
        {
            self.position = Some(first.cursor);
            self.handled.push_back(first.event.id.clone());
            if self.handled.len() > REMEMBERED
                && let Some(oldest) = self.handled.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }

    /// The handler of one that was handed out has failed; how often that was. It is due again when `due` says of it.
    pub(super) fn failed(&mut self, id: &str, due: impl FnOnce(u32) -> Instant) {
        if let Some(item) = self.find(id) {
            item.failures += 1;
            item.state = State::Due(due(item.failures));
        }
    }

    /// The server says that it has sent everything up to here.
    pub(super) fn settle(&mut self, cursor: String) {
        if self.outstanding.is_empty() {
            self.position = Some(cursor);
        }
    }

    /// Events were removed; this is the oldest place there is. What is outstanding lies before it, or will come again.
    pub(super) fn go_on_from(&mut self, earliest: &str) {
        for item in &mut self.outstanding {
            earliest.clone_into(&mut item.cursor);
        }
        self.position = Some(earliest.to_owned());
    }

    /// Everything up to here has been handled.
    pub(super) fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Everything up to here has been received.
    pub(super) fn received(&self) -> Option<&str> {
        let last = self.outstanding.back();
        last.map(|item| &*item.cursor).or(self.position())
    }

    fn find(&mut self, id: &str) -> Option<&mut Item> {
        self.outstanding.iter_mut().find(|item| item.event.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::event::Said;
    use super::{Event, Ledger, Next};

    /// An event whose cursor is its number.
    fn event(number: u32) -> Event {
        let text = format!(
            r#"{{"id":"evt_{number}","type":"a","instance":"i","timestamp":"2026-01-31T12:00:00Z","data":{number},"cursor":"{number}"}}"#
        );
        match Said::parse(&text) {
            Ok(Said::Event(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    /// A ledger with so many events, from 1.
    fn ledger(count: u32, now: Instant) -> Ledger {
        let mut ledger = Ledger::new(10);
        for number in 1..=count {
            assert!(ledger.receive(event(number), now));
        }
        ledger
    }

    /// The id of what is handed out.
    fn out(ledger: &mut Ledger, now: Instant) -> String {
        match ledger.next(now) {
            Next::Event(event) => event.id.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_position_waits_for_what_failed_and_the_others_go_on() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut ledger = ledger(3, now);
        assert_eq!(out(&mut ledger, now), "evt_1");
        ledger.failed("evt_1", |failures| {
            assert_eq!(failures, 1);
            later
        });
        for id in ["evt_2", "evt_3"] {
            assert_eq!(out(&mut ledger, now), id);
            ledger.done(id);
        }
        assert_eq!((ledger.position(), ledger.received()), (None, Some("3")));
        assert!(matches!(ledger.next(now), Next::At(at) if at == later));
        assert_eq!(out(&mut ledger, later), "evt_1");
        ledger.done("evt_1");
        assert_eq!(ledger.position(), Some("3"));
        assert!(matches!(ledger.next(later), Next::Nothing));
    }

    #[test]
    fn what_comes_again_is_not_handed_out_again() {
        let now = Instant::now();
        let mut ledger = ledger(2, now);
        assert_eq!(out(&mut ledger, now), "evt_1");
        ledger.done("evt_1");
        assert!(!ledger.receive(event(1), now));
        assert!(!ledger.receive(event(2), now));
        assert_eq!(out(&mut ledger, now), "evt_2");
        assert!(matches!(ledger.next(now), Next::Nothing));
        ledger.done("evt_2");
        let moved = Event {
            cursor: "2b".into(),
            ..event(2)
        };
        assert!(!ledger.receive(moved, now));
        assert_eq!(ledger.position(), Some("2b"));
    }

    #[test]
    fn only_so_many_are_taken_in() {
        let now = Instant::now();
        let mut ledger = ledger(9, now);
        assert!(!ledger.is_full());
        ledger.receive(event(10), now);
        assert!(ledger.is_full());
        assert_eq!(out(&mut ledger, now), "evt_1");
        ledger.done("evt_1");
        assert!(!ledger.is_full());
    }

    #[test]
    fn what_the_server_says_of_a_position_counts_only_while_nothing_is_outstanding() {
        let now = Instant::now();
        let mut ledger = Ledger::new(10);
        ledger.settle("a".into());
        ledger.receive(event(1), now);
        ledger.settle("b".into());
        assert_eq!(ledger.position(), Some("a"));
        out(&mut ledger, now);
        ledger.done("evt_1");
        ledger.settle("c".into());
        assert_eq!(ledger.position(), Some("c"));
    }

    #[test]
    fn after_a_gap_no_older_position_comes_back() {
        let now = Instant::now();
        let mut ledger = ledger(1, now);
        ledger.go_on_from("E");
        out(&mut ledger, now);
        ledger.done("evt_1");
        assert_eq!(
            (ledger.position(), ledger.received()),
            (Some("E"), Some("E"))
        );
    }
}
