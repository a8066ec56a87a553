//! The server's process, and the thread that keeps it.

use std::fs::{self, File};
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::account::Account;
use super::directory::Directory;
use super::find::{self, Binaries, Search};
use super::launcher::{Launcher, said};
use super::{Cluster, Error, Options, PORT, initdb, locks};

/// Recovery after a crash is inside it, and may have much to do.
const READY_SECONDS_MAX: u64 = 300;
/// Between two looks at the pid file; a start takes some 30 ms.
const POLL: Duration = Duration::from_millis(4);

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
struct Running {
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

/// Everything from the options to a server that answers.
fn start(options: &Options) -> Result<(Cluster, Running), Error> {
    let directory = Directory::choose(options.data_dir.as_deref())?;
    let binaries = choose_binaries(&directory, options)?;
    // After the binaries: installing them may have made the user.
    let account = Account::for_cluster(&directory.cluster())?;
    let launcher = Launcher {
        executable: options.executable.clone(),
        account,
    };
    // Finds out at once, and with a clear message, whether we may become the account and it may run the server.
    launcher.run(&binaries.postgres(), &["--version"])?;
    directory.prepare(&launcher.account)?;
    let ours = locks::take_ours(&directory)?;
    let servers = locks::take_servers(&directory)?;
    locks::remove_leftovers(&directory)?;
    initdb::initdb(&directory, &binaries, &launcher, options.durable)?;
    launcher.account.own_directory(&directory.socket())?;
    let log = directory.open_log()?;
    let log_start = log.metadata().map_or(0, |metadata| metadata.len());
    let command = command(&directory, &binaries, &launcher, options);
    let mut child =
        spawn(command, log, servers).map_err(Error::system("run", &launcher.executable))?;
    wait_until_ready(&directory, &mut child, log_start)?;

    let alive = Arc::new(Mutex::new(true));
    let (ended, has_ended) = watch::channel(false);
    let server = Server {
        process: process_of(&child),
        alive: Arc::clone(&alive),
        ended: has_ended,
    };
    let cluster = Cluster {
        directory,
        binaries,
        server,
        _ours: ours,
    };
    Ok((
        cluster,
        Running {
            child,
            alive,
            ended,
        },
    ))
}

/// The programs to use: of the version that wrote the data, if there is data.
fn choose_binaries(directory: &Directory, options: &Options) -> Result<Binaries, Error> {
    let wanted = directory.major();
    match find::find(options.binaries.as_deref(), wanted)? {
        Search::Found(binaries) => Ok(binaries),
        Search::OtherMajors(found) => {
            let data_dir = directory.root().to_owned();
            Err(Error::OtherMajor {
                data_dir,
                wanted: wanted.unwrap_or_default(),
                found,
            })
        }
        Search::Nothing => Err(Error::NotFound),
    }
}

/// The command line of the server.
fn command(
    directory: &Directory,
    binaries: &Binaries,
    launcher: &Launcher,
    options: &Options,
) -> Command {
    let mut command = launcher.command(&binaries.postgres());
    command
        .arg("-D")
        .arg(directory.cluster())
        .arg("-k")
        .arg(directory.socket());
    for (name, value) in settings(options) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command
}

/// Starts the server. Its standard input is the lock, which every process of it inherits.
fn spawn(mut command: Command, log: File, servers_lock: File) -> io::Result<Child> {
    command
        .stdin(servers_lock)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// The server's settings, ours first: of two with one name the later wins.
fn settings(options: &Options) -> Vec<(String, String)> {
    let port = PORT.to_string();
    let mut ours = vec![
        ("listen_addresses", ""),
        ("port", &*port),
        ("unix_socket_permissions", "0700"),
        ("logging_collector", "off"),
        ("cluster_name", "postrider"),
        // One call after a crash instead of a thousand: 0.3 s instead of 2 to 6 on a busy disk.
        #[cfg(target_os = "linux")]
        ("recovery_init_sync_method", "syncfs"),
    ];
    if !options.durable {
        ours.push(("fsync", "off"));
    }
    let ours = ours
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    ours.chain(options.settings.iter().cloned()).collect()
}

/// Waits until the server says in its pid file that it is ready.
fn wait_until_ready(directory: &Directory, child: &mut Child, log_start: u64) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
    while !is_ready(directory, process_of(child)) {
        let status = child
            .try_wait()
            .map_err(Error::system("wait for", directory.cluster()))?;
        if let Some(status) = status {
            let log = fs::read(directory.log()).unwrap_or_default();
            let new = usize::try_from(log_start)
                .ok()
                .and_then(|start| log.get(start..))
                .unwrap_or(&log);
            return Err(Error::Failed {
                what: "postgres".to_owned(),
                status: status.to_string(),
                output: said(new),
            });
        }
        if Instant::now() > deadline {
            // It dies with this thread; nothing more is to be done for it.
            return Err(Error::NotReady {
                seconds: READY_SECONDS_MAX,
                log: directory.log(),
            });
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The eighth line of the pid file; the first must be this very server.
fn is_ready(directory: &Directory, process: Pid) -> bool {
    let Ok(text) = fs::read_to_string(directory.pid_file()) else {
        return false;
    };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(&*process.to_string()) && lines.nth(6) == Some("ready")
}

/// The number of a child, which becomes the server by exec and so keeps it.
fn process_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
