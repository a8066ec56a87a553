//! `postrider config`: what is in force, and where it came from.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::Globals;
use crate::config::REFERENCE;

/// Arguments of `postrider config`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the reference instead: every key, its default, what it means
    #[arg(long)]
    reference: bool,
}

/// Prints one or the other.
pub(super) fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let page = if arguments.reference {
        REFERENCE.to_owned()
    } else {
        globals.load()?.to_toml()
    };
    io::stdout().lock().write_all(page.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
