//! When the next retry that this worker has written will be due. Nobody rings for it, and the floor poll would find it up to a
//! second late; with more than one worker, whoever wrote it looks.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Retries further away are left to the floor poll: what is a second to a wait of minutes?
const HORIZON: Duration = Duration::from_mins(1);
/// So many times are remembered; with more there is no pause to be woken from.
const REMEMBERED_MAX: usize = 10_000;

/// The times at which retries will be due.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    times: Mutex<BTreeSet<Instant>>,
    earlier: Notify,
}

impl Alarm {
    /// A retry will be due after `wait`.
    pub(super) fn set(&self, wait: Duration) {
        if wait > HORIZON {
            return;
        }
        let at = Instant::now() + wait;
        let mut times = self.lock();
        if times.len() < REMEMBERED_MAX && times.insert(at) && times.first() == Some(&at) {
            self.earlier.notify_one();
        }
    }

    /// Resolves when a retry is due, and forgets it then. Dropping the future loses nothing.
    pub(super) async fn rings(&self) {
        loop {
            let first = self.lock().first().copied();
            let Some(first) = first else {
                self.earlier.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(first) => {
                    let now = Instant::now();
                    self.lock().retain(|at| *at > now);
                    return;
                }
                () = self.earlier.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Instant>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_the_first_is_due_also_one_set_while_waiting_and_once_for_each() {
        let alarm = Alarm::default();
        let start = Instant::now();
        alarm.set(Duration::from_secs(5));
        tokio::join!(alarm.rings(), async { alarm.set(Duration::from_secs(1)) });
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        alarm.rings().await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        let silence = tokio::time::timeout(Duration::from_hours(1), alarm.rings()).await;
        assert!(silence.is_err());
    }
}
