//! The tail's task: step after step into the hub, woken by the doorbell.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::causes::Causes;
use crate::db::Database;
use crate::db::doorbell::{Doorbell, Found};
use crate::db::tail::{Step, Tail};
use crate::readiness::Condition;

/// Events published at once. A step of thousands would put every connection behind at once.
const SLICE: usize = 64;
/// How long slow sockets are given between two slices.
const SLICE_GRACE: Duration = Duration::from_millis(2);
/// How often a mark is kept.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// How many marks from one thinning out to the next.
const TIDY_EVERY: u32 = 60;
/// The first wait after a failed step, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What the task has.
pub(super) struct Follow {
    pub(super) hub: Arc<Hub>,
    pub(super) tail: Tail,
    pub(super) database: Database,
    pub(super) ready: Condition,
}

impl Follow {
    /// Follows the log until it is told to end. Nothing that happens to the database ends it.
    pub(super) async fn run(mut self, doorbell: Doorbell, end: CancellationToken) {
        let mut listener = doorbell.subscribe();
        let mut failures = 0_u32;
        let mut mark_at = Instant::now();
        let mut marks = 0_u32;
        loop {
            let turn = async {
                tokio::select! {
                    () = listener.turn() => {}
                    () = self.hub.wanted.notified() => {}
                }
            };
            tokio::select! {
                () = turn => {}
                () = end.cancelled() => return,
            }
            match self.step().await {
                Ok(found) => {
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!("the event log is followed again");
                    }
                    self.ready.met();
                    listener.found(found);
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(error = %Causes(&error), "the event log cannot be followed; trying again");
                    }
                    self.ready.unmet("the event log cannot be read");
                    self.database.heed(&error);
                    let wait = (RETRY_FIRST * 2_u32.pow(failures.min(6))).min(RETRY_MAX);
                    failures += 1;
                    // A failed step was none: who waits for one waits on.
                    tokio::select! {
                        () = sleep(wait) => self.hub.wanted.notify_one(),
                        () = end.cancelled() => return,
                    }
                }
            }
            if mark_at.elapsed() >= MARK_EVERY || marks == 0 {
                mark_at = Instant::now();
                marks += 1;
                self.keep_mark(marks.is_multiple_of(TIDY_EVERY)).await;
            }
        }
    }

    /// One step, in all its pages.
    async fn step(&mut self) -> Result<Found, crate::db::Error> {
        let number = self.hub.step_begins();
        let mut found = Found::Nothing;
        loop {
            let step = self.tail.step().await?;
            if step.gap {
                tracing::error!(
                    "events were removed before the tail could read them: everybody is told to begin anew"
                );
                self.hub.start_over();
                self.tail.skip_to_present();
                continue;
            }
            let more = step.more;
            if !step.events.is_empty() {
                found = Found::Something;
            }
            self.publish(step).await;
            if !more {
                break;
            }
        }
        self.hub.step_done(number);
        Ok(found)
    }

    /// Publishes a page in slices, each when the one before has been written.
    async fn publish(&self, mut step: Step) {
        let mut events = std::mem::take(&mut step.events);
        let last_page = !step.more;
        while events.len() > SLICE {
            let rest = events.split_off(SLICE);
            self.hub
                .publish(&step, std::mem::replace(&mut events, rest), false);
            self.hub.writers.written().await;
            sleep(SLICE_GRACE).await;
        }
        let pause = step.more;
        self.hub.publish(&step, events, last_page);
        if pause {
            self.hub.writers.written().await;
        }
    }

    /// Keeps the latest mark, for those who resume. Losing one costs a longer reading.
    async fn keep_mark(&mut self, tidy: bool) {
        /// What the tail can spare for it.
        const PATIENCE: Duration = Duration::from_secs(2);
        let Some(mark) = self.tail.take_mark() else {
            return;
        };
        let keeping = async {
            self.database.keep_mark(mark).await?;
            if tidy {
                self.hub.tidy();
                self.database.tidy_marks().await?;
            }
            Ok::<_, crate::db::Error>(())
        };
        if let Ok(Err(error)) = timeout(PATIENCE, keeping).await {
            tracing::debug!(error = %Causes(&error), "a mark of the tail could not be kept");
        }
    }
}

/// How often the pulse beats.
pub(super) fn beat(ping: Duration) -> tokio::time::Interval {
    let mut beat = interval((ping / 8).clamp(Duration::from_millis(20), Duration::from_secs(1)));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beat
}
