//! Awake, drowsy, asleep: one connected bell. The rules and their proof are in the module above.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::ears::{Ears, Heard};
use super::lock::{Answer, Lock, TOUCH_INTERVAL};
use super::shared::Shared;
use super::window::Window;

/// From asking for the lock to the first poll while it is not granted; by then the request stands in the queue.
const DROWSY_POLL_FIRST: Duration = Duration::from_millis(4);

/// One who was granted the lock after waiting gives a ring this time to arrive before it tells the others to look: who
/// waited behind a sleeper is granted because that sleeper was rung, and so were all.
const RING_GRACE: Duration = Duration::from_millis(5);

/// How going to sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The lock is ours.
    Granted { after_wait: bool },
    /// There was something before it was.
    Woken,
}

/// A bell with its connections.
#[derive(Debug)]
pub(super) struct Cycle<'a> {
    /// Hears.
    pub(super) ears: Ears,
    /// Holds the lock.
    pub(super) lock: Lock,
    /// Shared with the listeners.
    pub(super) shared: &'a Shared,
    /// What the listeners say.
    pub(super) work: &'a mut watch::Receiver<u64>,
    /// For how long to stay awake.
    pub(super) window: Window,
}

impl Cycle<'_> {
    /// Wakes, stays awake, sleeps, until a connection is lost.
    pub(super) async fn turn_for_ever(&mut self) -> sqlx::Result<Infallible> {
        loop {
            let woken_at = Instant::now();
            self.shared.wake();
            // After everybody was told: it takes a round trip, and a cancelled request may have been granted.
            self.lock.release().await?;
            self.stay_awake(woken_at).await?;
            self.shared
                .metrics
                .doorbell
                .awake_seconds
                .record(woken_at.elapsed().as_secs_f64());
            self.shared.doze();
            self.shared.metrics.doorbell.sleeps.increment(1);
            self.sleep().await?;
        }
    }

    /// Until nothing has come for anybody for the window's time. What the listeners here found is not enough to go by:
    /// workers that win no rows under load would doze off, and every writer would notify.
    async fn stay_awake(&mut self, woken_at: Instant) -> sqlx::Result<()> {
        let Self {
            ears,
            lock,
            shared,
            work,
            window,
        } = self;
        // Nothing else is said on the lock's connection while we are awake, which under steady work is for ever.
        let mut touches = interval(TOUCH_INTERVAL);
        touches.reset();
        let mut last_work = woken_at;
        let mut verdict_at = Some(woken_at + Window::AT_ONCE);
        let mut rows_begun = ears.rows_begun().await?;
        let mut readings = interval(shared.settings.awake_min / 4 + Duration::from_millis(1));
        readings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                heard = ears.hear() => if heard? == Heard::Ring {
                    shared.metrics.doorbell.rings.increment(1);
                    last_work = Instant::now();
                    if verdict_at.take().is_some() {
                        window.grow();
                    }
                },
                () = sleep_until(verdict_at.unwrap_or(woken_at)), if verdict_at.is_some() => {
                    verdict_at = None;
                    window.shrink();
                }
                _ = touches.tick() => lock.touch().await?,
                Ok(()) = work.changed() => last_work = Instant::now(),
                // Before the next reading: on a slow machine readings could be due without end.
                () = sleep_until(last_work + window.present()) => {
                    let begun = ears.rows_begun().await?;
                    if begun == rows_begun {
                        return Ok(());
                    }
                    rows_begun = begun;
                    last_work = Instant::now();
                }
                _ = readings.tick() => {
                    let begun = ears.rows_begun().await?;
                    if begun != rows_begun {
                        rows_begun = begun;
                        last_work = Instant::now();
                    }
                }
            }
        }
    }

    /// From asking for the lock to whatever ends the sleep. The lock may be held afterwards.
    async fn sleep(&mut self) -> sqlx::Result<()> {
        let asked_at = Instant::now();
        let mut wait = DROWSY_POLL_FIRST;
        loop {
            match self.ask(&mut wait).await? {
                None => {}
                Some(Asked::Woken) => return Ok(()),
                Some(Asked::Granted { after_wait }) => {
                    tracing::trace!(waited = ?asked_at.elapsed(), "the doorbell sleeps");
                    return self.rest(after_wait).await;
                }
            }
        }
    }

    /// One slice of asking; none when it was in vain. Everybody polls while it is not granted: twice as late each time
    /// in the first slice, and once in each later one.
    async fn ask(&mut self, wait: &mut Duration) -> sqlx::Result<Option<Asked>> {
        let Self {
            ears,
            lock,
            shared,
            work,
            ..
        } = self;
        let backend = lock.backend();
        let mut next_poll = Instant::now() + (*wait).min(DROWSY_POLL_FIRST);
        let mut asking = pin!(lock.ask());
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return Ok(match answer? {
                    Answer::GrantedAtOnce => Some(Asked::Granted { after_wait: false }),
                    Answer::GrantedAfterWait => Some(Asked::Granted { after_wait: true }),
                    Answer::NotYet => None,
                }),
                heard = ears.hear() => match heard? {
                    Heard::Ring => {
                        shared.metrics.doorbell.rings.increment(1);
                        break;
                    }
                    Heard::Look => shared.everybody_polls(),
                },
                Ok(()) = work.changed() => break,
                () = sleep_until(next_poll) => {
                    shared.everybody_polls();
                    next_poll = Instant::now() + *wait;
                    *wait = wait.saturating_mul(2).min(Duration::from_hours(1));
                }
            }
        }
        shared.wake();
        ears.cancel(backend).await?;
        asking.await?;
        Ok(Some(Asked::Woken))
    }

    /// Asleep: the lock is ours, every writer rings.
    async fn rest(&mut self, after_wait: bool) -> sqlx::Result<()> {
        // All who were silent have finished: this poll sees them.
        self.shared.everybody_polls();
        let granted_at = Instant::now();
        let mut look_due = after_wait;
        let mut touches = interval(TOUCH_INTERVAL);
        touches.set_missed_tick_behavior(MissedTickBehavior::Delay);
        touches.reset();
        loop {
            tokio::select! {
                biased;
                heard = self.ears.hear() => match heard? {
                    Heard::Ring => {
                        self.shared.metrics.doorbell.rings.increment(1);
                        return Ok(());
                    }
                    Heard::Look => self.shared.everybody_polls(),
                },
                Ok(()) = self.work.changed() => return Ok(()),
                () = sleep_until(granted_at + RING_GRACE), if look_due => {
                    look_due = false;
                    self.ears.tell_others_to_look().await?;
                }
                _ = touches.tick() => {
                    tokio::try_join!(self.lock.touch(), self.ears.touch())?;
                }
            }
        }
    }
}
