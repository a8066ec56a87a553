//! One who polls.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::shared::{Beat, Shared};

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the bell may go to sleep.
    Nothing,
    /// All there was: the bell stays awake.
    Something,
    /// Less than there is: the next turn comes at once.
    More,
}

/// A subscriber's end of the bell: call [`Listener::turn`], poll, say what was [`Listener::found`], and again.
#[derive(Debug)]
pub struct Listener {
    /// Shared with the bell.
    shared: Arc<Shared>,
    /// What the bell says.
    beats: watch::Receiver<Beat>,
    /// The round of the last poll.
    round: u64,
    /// When the last poll began.
    polled_at: Instant,
    /// The last poll left something behind.
    more: bool,
}

impl Listener {
    /// One that polls at its first turn.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let beats = shared.beats();
        // The bell waits for its first listener: this is heard.
        shared.saw_work();
        Self {
            shared,
            beats,
            round: 0,
            polled_at: Instant::now(),
            more: false,
        }
    }

    /// Returns when it is time to poll: at once when the last poll left something behind or a round was missed, every
    /// few milliseconds while the bell is awake, when it rings, and after the floor poll's time in any case. Dropping the
    /// future loses nothing.
    pub async fn turn(&mut self) {
        loop {
            let beat = *self.beats.borrow_and_update();
            if self.more || beat.round != self.round {
                break self.begin(beat.round);
            }
            let settings = &self.shared.settings;
            let wait = if beat.awake {
                settings.awake_poll.min(settings.floor_poll)
            } else {
                settings.floor_poll
            };
            tokio::select! {
                // We hold the sender, so this cannot fail; if it did, the floor poll would go on.
                Ok(()) = self.beats.changed() => {}
                () = sleep_until(self.polled_at + wait) => {
                    if !beat.awake {
                        self.shared.metrics.doorbell.floor_polls.increment(1);
                    }
                    break self.begin(beat.round);
                }
            }
        }
    }

    /// Says what came of the poll.
    pub fn found(&mut self, found: Found) {
        self.more = found == Found::More;
        if found != Found::Nothing {
            self.shared.saw_work();
        }
    }

    /// A poll begins.
    fn begin(&mut self, round: u64) {
        self.round = round;
        self.polled_at = Instant::now();
        self.more = false;
    }
}
