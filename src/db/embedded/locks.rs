//! Two locks, that tell a living server from what a dead one left behind.
//!
//! [`OURS`] is held by us and keeps a second Postrider out. The other is inherited by every process of the server, as its
//! standard input: it can be taken exactly when none of them lives. Postgres asks whether the number in its pid file is
//! alive, and that is not the same: in a container our own number is often the one the killed server had, and where nobody
//! reaps, a dead server stays in the process table.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::Error;
use super::directory::Directory;

/// The lock we hold.
pub(super) const OURS: &str = "postrider.lock";
/// The lock the server's processes hold.
const SERVERS: &str = "postgres.lock";
/// A server we left behind was told to stop; it may have much to flush.
const LEFT_BEHIND: Duration = Duration::from_mins(1);
/// Between two looks.
const POLL: Duration = Duration::from_millis(10);

/// Takes our lock, or says that somebody else has it.
pub(super) fn take_ours(directory: &Directory) -> Result<File, Error> {
    let file = directory.lock_file(OURS)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            data_dir: directory.root().to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(Error::system("lock", directory.root())(error)),
    }
}

/// Takes the server's lock. One that still runs was ours, and we are gone: it is asked to stop, and waited for.
pub(super) fn take_servers(directory: &Directory) -> Result<File, Error> {
    let file = directory.lock_file(SERVERS)?;
    let deadline = Instant::now() + LEFT_BEHIND;
    let mut asked = None;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(Error::system("lock", directory.root())(error));
            }
        }
        let server = recorded_pid(directory);
        if asked != server && server.is_some_and(|server| may_serve(server, directory)) {
            ask_to_stop(server);
            asked = server;
        }
        if Instant::now() > deadline {
            let process_id = working_in(directory).or(server).map_or(0, Pid::as_raw);
            return Err(Error::StillRunning {
                data_dir: directory.root().to_owned(),
                process_id,
            });
        }
        std::thread::sleep(POLL);
    }
}

/// Removes what a killed server left. To be called with both locks held, when no server of ours lives.
pub(super) fn remove_leftovers(directory: &Directory) -> Result<(), Error> {
    let Some(server) = recorded_pid(directory) else {
        return Ok(());
    };
    // One that was started by hand holds no lock of ours.
    if may_serve(server, directory) {
        return Err(Error::StillRunning {
            data_dir: directory.root().to_owned(),
            process_id: server.as_raw(),
        });
    }
    tracing::info!("the private Postgres was killed the last time; it recovers now");
    let socket = directory.socket_file();
    let mut socket_lock = socket.clone().into_os_string();
    socket_lock.push(".lock");
    for path in [directory.pid_file(), PathBuf::from(socket_lock), socket] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::system("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The server's number, as its pid file has it.
pub(super) fn recorded_pid(directory: &Directory) -> Option<Pid> {
    let text = fs::read_to_string(directory.pid_file()).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    (number > 1).then(|| Pid::from_raw(number))
}

/// Whether that process may be a server on this cluster. In doubt, yes: two servers on one cluster would destroy it.
fn may_serve(process: Pid, directory: &Directory) -> bool {
    let proc = Path::new("/proc");
    if !proc.join("self").exists() {
        return kill(process, None).is_ok();
    }
    // "NUMBER (NAME) STATE …"
    let stat = fs::read_to_string(proc.join(format!("{process}/stat"))).unwrap_or_default();
    if !stat.contains(" (postgres) ") || stat.contains(") Z ") {
        return false;
    }
    match fs::read_link(proc.join(format!("{process}/cwd"))) {
        Ok(working_directory) => {
            fs::canonicalize(directory.cluster()).is_ok_and(|cluster| cluster == working_directory)
        }
        // Not being allowed to look is the doubt; anything else means that it has gone meanwhile.
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

/// A process that works in the cluster: of a server that was killed, a child may be left.
fn working_in(directory: &Directory) -> Option<Pid> {
    let cluster = fs::canonicalize(directory.cluster()).ok()?;
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = processes
        .filter(|entry| {
            fs::read_link(entry.path().join("cwd")).is_ok_and(|directory| directory == cluster)
        })
        .find_map(|entry| entry.file_name().to_str()?.parse().ok());
    found.map(Pid::from_raw)
}

/// A fast shutdown. If it cannot be sent, waiting for the lock ends in the error that says so.
fn ask_to_stop(server: Option<Pid>) {
    let Some(server) = server else { return };
    tracing::warn!(
        process_id = server.as_raw(),
        "an earlier private Postgres is still running: asking it to stop"
    );
    if let Err(error) = kill(server, Signal::SIGINT) {
        tracing::warn!(%error, "it could not be asked");
    }
}
