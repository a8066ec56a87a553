//! How long freed memory is kept before the system gets it back.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where the allocator is told so, in milliseconds. It reads this once, before any code of ours runs.
const VARIABLE: &str = "MIMALLOC_PURGE_DELAY";
/// Longer than the time from one claim to the next; much longer, and a backlog of large payloads would take more memory.
const DELAY_MS: &str = "100";

/// Starts this program once more, in the same process, with what the allocator has to know in its environment. Returns where
/// that has been done, or somebody else has said how long, or it cannot be done: then all works as well, only slower.
///
/// After 10 ms, as it is by default, what a batch of deliveries leaves is given back to the system, and the next batch is
/// given it page by page anew: that was 5 of the 45 us of CPU that a delivery costs a worker. There is no way to say so from
/// within safe Rust.
pub fn keep_freed_memory() {
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Comes back only where it failed.
    let _ = command.args(arguments).env(VARIABLE, DELAY_MS).exec();
}
