//! The server's process, and the thread that keeps it.

use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use super::start::start;
use super::{Cluster, Error, Options};

/// A running server, as seen from outside its thread.
#[derive(Debug)]
pub(super) struct Server {
    process: Pid,
    /// Held to signal and to reap, so that no signal ever reaches another process that was given the number since.
    alive: Arc<Mutex<bool>>,
    /// Turns true when the server has ended.
    ended: watch::Receiver<bool>,
}

impl Server {
    /// Its process.
    pub(super) fn process_id(&self) -> Pid {
        self.process
    }

    /// Sends a signal, if the server still lives.
    pub(super) fn signal(&self, signal: Signal) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if *alive && let Err(error) = kill(self.process, signal) {
            tracing::warn!(%error, %signal, "the private Postgres could not be signalled");
        }
    }

    /// Answers when it has ended.
    pub(super) async fn exited(&self) {
        let mut ended = self.ended.clone();
        // The sender is gone only if its thread is, and the server with it.
        let _gone = ended.wait_for(|ended| *ended).await;
    }
}

/// The two views of a server that was started.
pub(super) fn of(child: Child) -> (Server, Running) {
    let alive = Arc::new(Mutex::new(true));
    let (ended, has_ended) = watch::channel(false);
    let server = Server {
        process: process_of(&child),
        alive: Arc::clone(&alive),
        ended: has_ended,
    };
    (
        server,
        Running {
            child,
            alive,
            ended,
        },
    )
}

/// Starts a server on a thread of its own, which lives as long as the server does.
/// The kernel takes the end of that thread for the end of the server's parent: a runtime's thread would not do.
pub(super) async fn keep(options: Options) -> Result<Cluster, Error> {
    let (answer, started) = oneshot::channel();
    let keeper = thread::Builder::new().name("postgres-keeper".to_owned());
    let spawned = keeper.spawn(move || match start(&options) {
        Ok((cluster, running)) => {
            // If nobody waits any more, the cluster comes back and is dropped, which stops it.
            drop(answer.send(Ok(cluster)));
            running.see_out();
        }
        Err(error) => drop(answer.send(Err(error))),
    });
    spawned.map_err(Error::system("start", "a thread"))?;
    started.await.map_err(|_| Error::KeeperLost)?
}

/// What the thread keeps of a server.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    alive: Arc<Mutex<bool>>,
    ended: watch::Sender<bool>,
}

impl Running {
    /// Waits until the server has ended.
    fn see_out(mut self) {
        let process = process_of(&self.child);
        // Waits without reaping: until the lock is ours, the number must not be given to anybody else.
        while waitid(
            Id::Pid(process),
            WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
        ) == Err(Errno::EINTR)
        {}
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        *alive = false;
        match self.child.wait() {
            Ok(status) => tracing::debug!(%status, "the private Postgres has ended"),
            Err(error) => tracing::warn!(%error, "how the private Postgres ended is unknown"),
        }
        self.ended.send_replace(true);
    }
}

/// The number of a child, which becomes the server by exec and so keeps it.
pub(super) fn process_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
