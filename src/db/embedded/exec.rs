//! The hidden subcommand that becomes the server.
//!
//! Between fork and exec a child must give up root, and ask the kernel for a signal when its parent dies. The standard
//! library lets only unsafe code run there. So the child is our own program once more: started with [`SUBCOMMAND`], with
//! one thread and before anything else, it does both through safe calls and then replaces itself.
//!
//! `postrider embedded-postgres-exec PARENT UID GID PROGRAM ARGUMENTS…`, with `-` for UID and GID to stay who we are.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// The first argument that asks for it.
pub const SUBCOMMAND: &str = "embedded-postgres-exec";
/// Exit code: we may not become the user we were told to.
pub(super) const MAY_NOT_BECOME: i32 = 121;
/// Exit code: the program cannot be run.
pub(super) const NOT_RUNNABLE: i32 = 122;
/// Exit code: whoever started us is gone, so nobody wants the program any more.
const ORPHANED: i32 = 123;
/// Exit code: called by somebody who does not know how.
const MISUSED: i32 = 124;

/// Becomes the given program if the arguments of this process ask for it; otherwise does nothing.
/// To be called first thing in `main`, while there is one thread.
pub fn handle() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == SUBCOMMAND) {
        let (code, message) = become_program(arguments);
        eprintln!("{message}");
        std::process::exit(code);
    }
}

/// Returns only if it failed: with an exit code, and why.
fn become_program(mut arguments: impl Iterator<Item = OsString>) -> (i32, String) {
    let mut word = || {
        arguments
            .next()
            .and_then(|word| word.into_string().ok())
            .unwrap_or_default()
    };
    let (parent, uid, gid) = (word(), word(), word());
    let Some(program) = arguments.next() else {
        return (MISUSED, format!("{SUBCOMMAND} is for Postrider's own use"));
    };
    if uid != "-" {
        let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
            return (MISUSED, "not a user id and a group id".to_owned());
        };
        if let Err(error) = drop_rights(Uid::from_raw(uid), Gid::from_raw(gid)) {
            return (MAY_NOT_BECOME, error.desc().to_owned());
        }
    }
    // After the change of user, which would clear it.
    if let Err(error) = die_with_parent() {
        return (MISUSED, error.desc().to_owned());
    }
    // A parent that died before the line above took effect sends nothing any more.
    if nix::unistd::getppid().to_string() != parent {
        return (ORPHANED, "the program that started us is gone".to_owned());
    }
    close_inherited();
    let failure = Command::new(program).args(arguments).exec();
    (NOT_RUNNABLE, failure.to_string())
}

/// Closes whatever whoever started us has left open, a lock or a pipe that somebody waits on: the three standard streams
/// are all the server is to have of us. There is one thread and nothing else to be done, so none of them is in use.
fn close_inherited() {
    let listed = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let numbers: Vec<i32> = listed
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers.into_iter().filter(|&number| number > 2) {
        // The one that listed them is closed already.
        let _gone = nix::unistd::close(number);
    }
}

/// Groups first: afterwards we would no longer be allowed to.
fn drop_rights(uid: Uid, gid: Gid) -> Result<(), Errno> {
    nix::unistd::setgroups(&[])?;
    nix::unistd::setgid(gid)?;
    nix::unistd::setuid(uid)
}

/// A fast shutdown, from the kernel, when the thread that started us ends. It outlives the exec.
#[cfg(target_os = "linux")]
fn die_with_parent() -> Result<(), Errno> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGINT)
}

/// Elsewhere a server may outlive us; the next start finds it by its lock and ends it.
#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> Result<(), Errno> {
    Ok(())
}
