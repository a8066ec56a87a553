//! How the process ends, and who runs until then.
//!
//! Shutdown has two stages, each a token that everything watches:
//!
//! 1. **soft**: SIGINT, SIGTERM, SIGHUP (the terminal was closed), a task that failed, or [`Tasks::shut_down`]. *Work* takes on nothing new, finishes what
//!    it has, gives back what it has not started, and ends.
//! 2. **hard**: all work has ended, or the drain time is over, or a second signal came. Work that is still there drops
//!    what it is doing; *services* (the HTTP listener, the upkeep of metrics) end now. They live through the first stage
//!    so that a drain can be watched, and so that readiness can say no.
//!
//! A short grace after that, or a third signal, and the process ends with whatever is left, naming it. Losing it is safe:
//! what a worker held in Postgres returns when its leases expire.
//!
//! Nothing is spawned but through [`Tasks`]. A task whose future ends with an error or a panic has failed the process:
//! it is logged, the soft stage begins, and the exit status is not 0. Running on without one of its parts, a process
//! would look alive and deliver nothing; its supervisor knows better what to do. A task that is meant to survive its
//! errors handles them itself.
//!
//! No other module handles signals.

mod signals;
mod tasks;

pub use signals::interrupted;
pub use tasks::{Finish, Tasks};

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::signals::Signals;

/// From the hard stage to the end of the process.
const GRACE: Duration = Duration::from_secs(3);

/// How the process ended; the exit status follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything ended by itself.
    Clean,
    /// A task failed.
    Failed,
    /// Something had to be left behind.
    Forced,
}

/// Lets this process have as many files open as the system allows it: by habit programs are started with 1,024, and each
/// connection is one. Answers with how many that is.
pub fn allow_many_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 0;
    };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// Owns the tasks and the signals. One a process.
#[derive(Debug)]
pub struct Lifecycle {
    /// What runs.
    tasks: Tasks,
    /// What ends it.
    signals: Signals,
}

impl Lifecycle {
    /// Takes over the signals: from here on they no longer kill the process.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            tasks: Tasks::default(),
            signals: Signals::install()?,
        })
    }

    /// To spawn with, and to hand on.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Runs until the end, through both stages. `drain` is how long the soft one may take.
    pub async fn run(mut self, drain: Duration) -> Ending {
        self.until_soft().await;
        self.until_hard(drain).await;
        self.tasks.hard().cancel();
        let left_behind = tokio::select! {
            () = self.tasks.finished() => false,
            () = tokio::time::sleep(GRACE) => true,
            _ = self.signals.next() => true,
        };
        if left_behind {
            tracing::error!(tasks = ?self.tasks.still_running(), "ended without them; their leases will expire");
            return Ending::Forced;
        }
        if self.tasks.has_failed() {
            Ending::Failed
        } else {
            Ending::Clean
        }
    }

    /// Runs until something begins the soft stage.
    async fn until_soft(&mut self) {
        tokio::select! {
            name = self.signals.next() => tracing::info!(signal = name, "shutting down: finishing what is in flight"),
            () = self.tasks.soft().cancelled() => {}
        }
        self.tasks.shut_down();
    }

    /// Waits for the work to end by itself.
    async fn until_hard(&mut self, drain: Duration) {
        tokio::select! {
            () = self.tasks.work_finished() => {}
            () = tokio::time::sleep(drain) => {
                let drain_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(tasks = ?self.tasks.still_running(), drain_ms, "the drain time is over, dropping what is left");
            }
            name = self.signals.next() => {
                tracing::warn!(tasks = ?self.tasks.still_running(), signal = name, "dropping what is left");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    use super::{Ending, GRACE, Lifecycle, Signals, Tasks};

    /// Longer than anything here takes.
    const DRAIN: Duration = Duration::from_secs(25);

    /// Panics.
    async fn broken() {
        tokio::task::yield_now().await;
        panic!("on purpose")
    }

    /// A lifecycle whose signals the test sends.
    fn scripted() -> (Lifecycle, mpsc::Sender<&'static str>) {
        let (sender, receiver) = mpsc::channel(4);
        (
            Lifecycle {
                tasks: Tasks::default(),
                signals: Signals::Scripted(receiver),
            },
            sender,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_finished_before_services_end() {
        let (lifecycle, signals) = scripted();
        let (sender, mut order) = mpsc::unbounded_channel();
        let (tasks, work) = (lifecycle.tasks().clone(), sender.clone());
        lifecycle.tasks().spawn("work", async move {
            tasks.soft().cancelled().await;
            sleep(Duration::from_secs(5)).await;
            let _ = work.send("work");
        });
        let tasks = lifecycle.tasks().clone();
        lifecycle.tasks().serve("service", async move {
            tasks.hard().cancelled().await;
            let _ = sender.send("service");
        });
        signals.send("SIGTERM").await.unwrap();
        assert_eq!(lifecycle.run(DRAIN).await, Ending::Clean);
        assert_eq!(
            (order.recv().await, order.recv().await),
            (Some("work"), Some("service"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_time_ends_work_that_watches_for_it() {
        let (lifecycle, signals) = scripted();
        let tasks = lifecycle.tasks().clone();
        lifecycle
            .tasks()
            .spawn("slow", async move { tasks.hard().cancelled().await });
        signals.send("SIGTERM").await.unwrap();
        let start = Instant::now();
        assert_eq!(lifecycle.run(DRAIN).await, Ending::Clean);
        assert_eq!(start.elapsed().as_secs(), DRAIN.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_does_not_wait_for_the_drain_time() {
        let (lifecycle, signals) = scripted();
        let tasks = lifecycle.tasks().clone();
        lifecycle
            .tasks()
            .spawn("slow", async move { tasks.hard().cancelled().await });
        signals.send("SIGINT").await.unwrap();
        signals.send("SIGINT").await.unwrap();
        let start = Instant::now();
        assert_eq!(lifecycle.run(DRAIN).await, Ending::Clean);
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_left_behind_and_named() {
        let (lifecycle, signals) = scripted();
        let tasks = lifecycle.tasks().clone();
        lifecycle
            .tasks()
            .spawn("stubborn", std::future::pending::<()>());
        signals.send("SIGTERM").await.unwrap();
        let start = Instant::now();
        assert_eq!(lifecycle.run(DRAIN).await, Ending::Forced);
        assert_eq!(start.elapsed().as_secs(), (DRAIN + GRACE).as_secs());
        assert_eq!(tasks.still_running(), ["stubborn"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_ends_the_process_with_a_failure() {
        let (lifecycle, _signals) = scripted();
        lifecycle
            .tasks()
            .spawn("broken", async { Err::<(), _>("no database") });
        assert_eq!(lifecycle.run(DRAIN).await, Ending::Failed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_ends_the_process_with_a_failure() {
        let (lifecycle, _signals) = scripted();
        lifecycle.tasks().spawn("broken", broken());
        assert_eq!(lifecycle.run(DRAIN).await, Ending::Failed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_well_ends_nothing() {
        let (lifecycle, signals) = scripted();
        lifecycle.tasks().spawn("once", async {});
        let start = Instant::now();
        let later = async {
            sleep(Duration::from_mins(1)).await;
            signals.send("SIGTERM").await.unwrap();
        };
        let (ending, ()) = tokio::join!(lifecycle.run(DRAIN), later);
        assert_eq!((ending, start.elapsed().as_secs()), (Ending::Clean, 60));
    }
}
