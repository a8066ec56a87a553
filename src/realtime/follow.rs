//! The tail's task: step after step into the hub, woken by the doorbell; and, while nobody is connected, at rest.
//!
//! At rest nothing is read: whoever comes begins with a step of its own, and what it missed stands in the table. Nor is
//! there an ear at the doorbell, so that no writer rings for nobody. Only a mark is kept now and then, which bounds what a
//! reader that comes back by a time has to look at.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::causes::Causes;
use crate::db::doorbell::{Doorbell, Found, Listener};
use crate::db::tail::{Step, Tail};
use crate::db::{Database, Error};
use crate::readiness::Condition;

/// Events published at once. A step of thousands would put every connection behind at once.
const SLICE: usize = 64;
/// How long slow sockets are given between two slices.
const SLICE_GRACE: Duration = Duration::from_millis(2);
/// From one step to the next that is only for those who come: a crowd that comes back after a restart shares a few, and finds
/// the same pages behind them.
const GATHER: Duration = Duration::from_millis(10);
/// How often a mark is kept.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// How often at rest.
const GLANCE_EVERY: Duration = Duration::from_secs(15);
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
    /// How long the log is still followed when the last one has left.
    pub(super) linger: Duration,
    pub(super) progress: Progress,
}

/// How it goes.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Failures since the last good step.
    failures: u32,
    /// When the last mark was kept, and how many were.
    mark_at: Option<Instant>,
    marks: u32,
}

impl Follow {
    /// Follows the log until it is told to end. Nothing that happens to the database ends it.
    pub(super) async fn run(mut self, doorbell: Doorbell, end: CancellationToken) {
        let turns = async {
            loop {
                self.rest().await;
                self.tail.skip_to_present();
                self.attend(doorbell.subscribe()).await;
            }
        };
        end.run_until_cancelled(turns).await;
    }

    /// Until somebody comes. Looks now and then whether the log could be followed.
    async fn rest(&mut self) {
        let mut crowd = self.hub.crowd.subscribe();
        while self.hub.rest() {
            self.hub.note_reading(None);
            self.tail.skip_to_present();
            let glance = self.tail.step().await.map(drop);
            let wait = self.learn(glance).err().unwrap_or(GLANCE_EVERY);
            self.keep_mark(GLANCE_EVERY).await;
            // We are with the hub, which holds the sender: waiting cannot fail.
            drop(timeout(wait, crowd.wait_for(|&count| count > 0)).await);
        }
    }

    /// Until nobody has been here for a while.
    async fn attend(&mut self, mut listener: Listener) {
        let mut deserted_at = None;
        let mut next_for_crowd = Instant::now();
        self.hub.note_reading(Some(Instant::now()));
        loop {
            if !self.hub.is_deserted() {
                deserted_at = None;
            } else if deserted_at.get_or_insert_with(Instant::now).elapsed() >= self.linger {
                return;
            }
            let crowd = async {
                self.hub.wanted.notified().await;
                sleep_until(next_for_crowd).await;
            };
            tokio::select! {
                () = listener.turn() => {}
                () = crowd => {}
            }
            let stepped = self.step().await;
            next_for_crowd = Instant::now() + GATHER;
            match self.learn(stepped) {
                Ok(found) => listener.found(found),
                Err(wait) => {
                    sleep(wait).await;
                    // A failed step was none: who waits for one waits on.
                    self.hub.wanted.notify_one();
                }
            }
            self.keep_mark(MARK_EVERY).await;
        }
    }

    /// What came of a step, for whoever asks whether we are ready; or how long to wait after a failure.
    fn learn<T>(&mut self, stepped: Result<T, Error>) -> Result<T, Duration> {
        let failures = self.progress.failures;
        stepped
            .inspect(|_| {
                if failures > 0 {
                    tracing::info!("the event log is followed again");
                }
                self.progress.failures = 0;
                self.ready.met();
            })
            .map_err(|error| {
                if failures == 0 {
                    tracing::warn!(error = %Causes(&error), "the event log cannot be followed; trying again");
                }
                self.progress.failures += 1;
                self.ready.unmet("the event log cannot be read");
                self.database.heed(&error);
                (RETRY_FIRST * 2_u32.pow(failures.min(6))).min(RETRY_MAX)
            })
    }

    /// One step, in all its pages.
    async fn step(&mut self) -> Result<Found, Error> {
        let number = self.hub.step_begins();
        let mut found = Found::Nothing;
        loop {
            let step = self.tail.step().await?;
            if step.gap {
                tracing::error!(
                    "events were removed before the tail could read them: everybody is told to begin anew"
                );
                self.hub.metrics.realtime.tail_gaps.increment(1);
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
        for event in &events {
            let lag = (step.read_at - event.occurred_at).as_seconds_f64();
            self.hub.metrics.realtime.lag_seconds.record(lag.max(0.0));
        }
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

    /// Keeps the latest mark, for those who resume, unless that was done lately. Losing one costs a longer reading.
    async fn keep_mark(&mut self, every: Duration) {
        /// What the tail can spare for it.
        const PATIENCE: Duration = Duration::from_secs(2);
        let progress = &mut self.progress;
        if progress.mark_at.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        let Some(mark) = self.tail.take_mark() else {
            return;
        };
        progress.mark_at = Some(Instant::now());
        progress.marks += 1;
        let tidy = progress.marks.is_multiple_of(TIDY_EVERY);
        let keeping = async {
            self.database.keep_mark(mark).await?;
            if tidy {
                self.hub.tidy();
                self.database.tidy_marks().await?;
            }
            Ok::<_, Error>(())
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
