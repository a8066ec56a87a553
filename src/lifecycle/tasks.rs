//! What runs: spawned, told when to end, and waited for.

use std::collections::BTreeMap;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::causes::Causes;

/// What a task may end with: nothing, or a `Result`.
pub trait Finish {
    /// The error, if it ended with one.
    fn failure(self) -> Option<Box<dyn Error + Send + Sync>>;
}

impl Finish for () {
    fn failure(self) -> Option<Box<dyn Error + Send + Sync>> {
        None
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> Finish for Result<(), E> {
    fn failure(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.err().map(Into::into)
    }
}

/// Spawns tasks and tells them when to end. Cheap to clone; everything that runs holds one.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    /// Take on nothing new.
    soft: CancellationToken,
    /// Drop everything.
    hard: CancellationToken,
    /// What the soft stage waits for.
    work: TaskTracker,
    /// What ends in the hard stage.
    services: TaskTracker,
    /// Whether a task has failed.
    failed: Arc<AtomicBool>,
    /// How many run under each name, for the last words.
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Tasks {
    /// Spawns work: it watches [`Tasks::soft`] and ends by itself after it, at once after [`Tasks::hard`].
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output: Finish> + Send + 'static,
    {
        self.work.spawn(self.clone().watch(name, work));
    }

    /// Spawns a service: it runs on through the soft stage and ends after [`Tasks::hard`].
    pub fn serve<F>(&self, name: &'static str, service: F)
    where
        F: Future<Output: Finish> + Send + 'static,
    {
        self.services.spawn(self.clone().watch(name, service));
    }

    /// Cancelled when nothing new is to be taken on.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when everything is to be dropped.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the soft stage, as a signal would.
    pub fn shut_down(&self) {
        self.soft.cancel();
    }

    /// Runs a task to its end and notes a failure. No async function: such a one would keep a task twice, once as its
    /// argument and once as what it awaits, and there are thousands of them.
    fn watch<F: Future<Output: Finish>>(
        self,
        name: &'static str,
        task: F,
    ) -> impl Future<Output = ()> + use<F> {
        self.count(name, 1);
        AssertUnwindSafe(task).catch_unwind().map(move |ended| {
            match ended.map(Finish::failure) {
                Ok(None) => {}
                Ok(Some(failure)) => {
                    tracing::error!(task.name = name, error = %Causes(&*failure), "a task failed, shutting down");
                    self.fail();
                }
                Err(_) => {
                    // The panic itself was logged where it happened.
                    tracing::error!(task.name = name, "a task panicked, shutting down");
                    self.fail();
                }
            }
            self.count(name, -1);
        })
    }

    /// Whether a task has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that the process has failed.
    fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.shut_down();
    }

    /// Counts a task in or out.
    fn count(&self, name: &'static str, change: isize) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(name).or_default();
        *count = count.saturating_add_signed(change);
    }

    /// The names of what still runs.
    pub(super) fn still_running(&self) -> Vec<&'static str> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, _)| *name)
            .collect()
    }

    /// Ends when no work is left.
    pub(super) async fn work_finished(&self) {
        self.work.close();
        self.work.wait().await;
    }

    /// Ends when no task is left.
    pub async fn finished(&self) {
        self.work.close();
        self.services.close();
        tokio::join!(self.work.wait(), self.services.wait());
    }
}
