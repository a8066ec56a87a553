//! The program as its user meets it.

mod administration;
mod adopting;
mod config;
mod demo;
mod doctoring;
mod embedded;
mod keys;
mod listening;
mod migrating;
mod owner;
mod pooling;
mod program;
mod tokens;

use std::path::Path;
use std::process::{Command, Stdio};

/// The program in a directory of its own, with an empty environment.
fn postrider(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::null());
    command
}
