//! `postrider bench`: how fast this is, here. Whatever is measured is measured against a baseline in the same run.
//!
//! Each benchmark makes a database of its own: in a throw-away Postgres (durable, with settings as a server has them, printed),
//! or, where `DATABASE_URL` is given, on that server. Nothing there is touched but that database, which is dropped in the end.
//!
//! Rates on a machine that does other things are worth little, so what a delivery costs in CPU time is printed beside them, by
//! worker, receiver and Postgres, and how much CPU others used meanwhile.

mod client;
mod drain;
mod machine;
mod meter;
mod report;
mod sink;
mod stage;
mod statements;
mod worker;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Globals;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to measure.
    #[command(subcommand)]
    what: What,
    /// For all of them.
    #[command(flatten)]
    how: How,
}

/// Arguments of all benchmarks.
#[derive(Debug, Clone, Copy, Args)]
struct How {
    /// Small sizes, to see that it works: the figures mean little
    #[arg(long, global = true)]
    quick: bool,
    /// The report as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
enum What {
    /// Deliveries a second from a full queue, against the same requests without a queue and the same SQL without requests
    Drain(drain::Arguments),
    /// The receiver of the others, as a process of its own
    #[command(hide = true)]
    Sink,
}

/// Runs one.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let how = arguments.how;
    match &arguments.what {
        What::Drain(arguments) => drain::run(globals, how, arguments).await,
        What::Sink => sink::run().await,
    }
}
