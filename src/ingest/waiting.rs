//! What was heard and is not yet known to be done.

use std::collections::VecDeque;

/// The most that is kept, in bytes of payload. A notification has up to 8,000.
const BYTES_MAX: usize = 64 << 20;

/// Notifications in the order of their commits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The oldest first.
    payloads: VecDeque<String>,
    /// Their bytes.
    bytes: usize,
    /// Given up because there were too many, and not yet told to the others.
    dropped: usize,
}

impl Waiting {
    /// One more. False when an older one had to go for it.
    pub(super) fn push(&mut self, payload: String) -> bool {
        self.bytes += payload.len();
        self.payloads.push_back(payload);
        let before = self.dropped;
        while self.bytes > BYTES_MAX && self.payloads.len() > 1 {
            self.forget(1);
            self.dropped += 1;
        }
        before == self.dropped
    }

    /// Another reader took so many, counted as it heard them: those we gave up were the oldest.
    pub(super) fn others_took(&mut self, count: usize) {
        let given_up = count.min(self.dropped);
        self.dropped -= given_up;
        self.forget(count - given_up);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.payloads.len()
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// The oldest ones, at most so many; they stay until they are forgotten.
    pub(super) fn oldest(&self, most: usize) -> impl ExactSizeIterator<Item = &String> {
        self.payloads.iter().take(most)
    }

    /// The oldest ones are done.
    pub(super) fn forget(&mut self, count: usize) {
        for payload in self.payloads.drain(..count.min(self.payloads.len())) {
            self.bytes -= payload.len();
        }
    }

    /// How many were given up since the others were last told.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// The others have been told.
    pub(super) fn told(&mut self) {
        self.dropped = 0;
    }

    /// Nothing that is kept is in step with the others any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Waiting};

    #[test]
    fn the_oldest_goes_first_and_no_more_than_there_is() {
        let mut waiting = Waiting::default();
        for payload in ["a", "b", "c"] {
            assert!(waiting.push(payload.to_owned()));
        }
        waiting.forget(2);
        assert_eq!(waiting.oldest(10).collect::<Vec<_>>(), ["c"]);
        waiting.forget(5);
        assert!(waiting.is_empty());
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let mut waiting = Waiting::default();
        let large = "x".repeat(BYTES_MAX / 2);
        assert!(waiting.push(large.clone()));
        assert!(waiting.push(large.clone()));
        assert!(!waiting.push(large));
        assert_eq!((waiting.len(), waiting.dropped()), (2, 1));
        waiting.others_took(2);
        assert_eq!((waiting.len(), waiting.dropped()), (1, 0));
    }
}
