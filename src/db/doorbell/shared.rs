//! What the bell and its listeners share.

use std::sync::Arc;

use tokio::sync::watch;

use super::{DoorbellSettings, Hearing};
use crate::metrics::Metrics;

/// What listeners go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    /// Rises whenever everybody is to poll once.
    pub(super) round: u64,
    /// Whether to poll every few milliseconds.
    pub(super) awake: bool,
}

/// Two signals: from the bell to its listeners, and back.
#[derive(Debug)]
pub(super) struct Shared {
    /// How the bell behaves.
    pub(super) settings: DoorbellSettings,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
    /// From the bell.
    beat: watch::Sender<Beat>,
    /// To the bell: rises with each poll that found something.
    work: watch::Sender<u64>,
    /// Whether rings are heard.
    hearing: watch::Sender<Hearing>,
}

impl Shared {
    /// Asleep, so that until the bell runs there is the floor poll.
    pub(super) fn new(settings: DoorbellSettings, metrics: Arc<Metrics>) -> Self {
        let beat = Beat {
            round: 1,
            awake: false,
        };
        Self {
            settings,
            metrics,
            beat: watch::Sender::new(beat),
            work: watch::Sender::new(0),
            hearing: watch::Sender::new(Hearing::NotYet),
        }
    }

    /// For a listener.
    pub(super) fn beats(&self) -> watch::Receiver<Beat> {
        self.beat.subscribe()
    }

    /// For the bell. What came before does not count.
    pub(super) fn works(&self) -> watch::Receiver<u64> {
        self.work.subscribe()
    }

    /// Whether rings are heard.
    pub(super) fn hearing(&self) -> Hearing {
        *self.hearing.borrow()
    }

    /// It is known whether rings are heard.
    pub(super) fn set_hearing(&self, hearing: Hearing) {
        self.hearing.send_replace(hearing);
    }

    /// Whether anybody listens.
    pub(super) fn has_listeners(&self) -> bool {
        self.beat.receiver_count() > 0
    }

    /// Waits until nobody listens.
    pub(super) async fn is_deserted(&self) {
        self.beat.closed().await;
    }

    /// Someone found something.
    pub(super) fn saw_work(&self) {
        self.work.send_modify(|count| *count += 1);
    }

    /// Everybody polls now.
    pub(super) fn everybody_polls(&self) {
        self.beat.send_modify(|beat| beat.round += 1);
    }

    /// Everybody polls now, and then every few milliseconds.
    pub(super) fn wake(&self) {
        self.metrics.doorbell.awake.set(1.0);
        self.beat.send_modify(|beat| {
            beat.round += 1;
            beat.awake = true;
        });
    }

    /// Back to the floor poll.
    pub(super) fn doze(&self) {
        self.metrics.doorbell.awake.set(0.0);
        self.beat.send_modify(|beat| beat.awake = false);
    }
}
