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

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::causes::Causes;

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
    fn still_running(&self) -> Vec<&'static str> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, _)| *name)
            .collect()
    }

    /// Ends when no task is left.
    pub async fn finished(&self) {
        self.work.close();
        self.services.close();
        tokio::join!(self.work.wait(), self.services.wait());
    }
}

/// Where signals come from.
#[derive(Debug)]
enum Signals {
    /// The process's own.
    Process {
        /// Ctrl-C.
        interrupt: Signal,
        /// `kill`, systemd, Kubernetes.
        terminate: Signal,
        /// The terminal was closed. There is no configuration to read again, so it means what it meant at first. None
        /// where whoever started us had it ignored, as `nohup` does.
        hang_up: Option<Signal>,
    },
    /// A test's.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only tests script their signals")
    )]
    Scripted(mpsc::Receiver<&'static str>),
}

impl Signals {
    /// The next one.
    async fn next(&mut self) -> &'static str {
        match self {
            Self::Process {
                interrupt,
                terminate,
                hang_up,
            } => tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                Some(()) = async { hang_up.as_mut()?.recv().await } => "SIGHUP",
            },
            Self::Scripted(script) => match script.recv().await {
                Some(name) => name,
                None => std::future::pending().await,
            },
        }
    }
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
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hang_up = if hang_up_is_ignored() {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        Ok(Self {
            tasks: Tasks::default(),
            signals: Signals::Process {
                interrupt,
                terminate,
                hang_up,
            },
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
        self.tasks.hard.cancel();
        let left_behind = tokio::select! {
            () = self.tasks.finished() => false,
            () = tokio::time::sleep(GRACE) => true,
            _ = self.signals.next() => true,
        };
        if left_behind {
            tracing::error!(tasks = ?self.tasks.still_running(), "ended without them; their leases will expire");
            return Ending::Forced;
        }
        if self.tasks.failed.load(Ordering::Relaxed) {
            Ending::Failed
        } else {
            Ending::Clean
        }
    }

    /// Runs until something begins the soft stage.
    async fn until_soft(&mut self) {
        tokio::select! {
            name = self.signals.next() => tracing::info!(signal = name, "shutting down: finishing what is in flight"),
            () = self.tasks.soft.cancelled() => {}
        }
        self.tasks.soft.cancel();
    }

    /// Waits for the work to end by itself.
    async fn until_hard(&mut self, drain: Duration) {
        self.tasks.work.close();
        tokio::select! {
            () = self.tasks.work.wait() => {}
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

/// Whether we were started with SIGHUP ignored: `nohup postrider serve &` is to outlive its terminal.
fn hang_up_is_ignored() -> bool {
    /// SIGHUP is signal 1, so it is the lowest bit.
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & SIGHUP_BIT != 0)
}

/// Waits for Ctrl-C or SIGTERM, for a command with nothing to drain.
pub async fn interrupted() {
    let (interrupt, terminate) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        // Nobody can tell us; the signal itself ends the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
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
