//! `postrider bench`: how fast this is, here. Whatever is measured is measured against a baseline in the same run.
//!
//! Each benchmark makes a database of its own: in a throw-away Postgres (durable, with settings as a server has them, printed),
//! or, where `DATABASE_URL` is given, on that server. Nothing there is touched but that database, which is dropped in the end.
//!
//! Rates on a machine that does other things are worth little, so what a delivery costs in CPU time is printed beside them, by
//! worker, receiver and Postgres, and how much CPU others used meanwhile.

mod api;
mod api_process;
mod audience;
mod backlog;
mod bloat;
mod callers;
mod capture;
mod client;
mod crowd;
mod drain;
mod fanout;
mod frames;
mod latency;
mod machine;
mod meter;
mod neighbour;
mod report;
mod sink;
mod soak;
mod stage;
mod statements;
mod tally;
mod worker;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;

use super::Globals;
use crate::lifecycle;
use report::Report;
use stage::Stage;

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
    /// Commits a second into a captured table, against the same rows without a bell and against plain inserts
    Capture(capture::Arguments),
    /// From sending COMMIT to the receiver's 2xx, against one NOTIFY and one POST
    Latency(latency::Arguments),
    /// Claims and deliveries while few and while many rows stay queued
    Backlog(backlog::Arguments),
    /// What healthy endpoints notice of a flooded one and of silent ones
    Neighbour(neighbour::Arguments),
    /// Deliveries a second with a transaction held open all along, against without
    Bloat(bloat::Arguments),
    /// A long queue while workers are killed: whether everything arrives, and what came twice
    Soak(soak::Arguments),
    /// Events published over HTTP, against the same by SQL, and reads of configuration
    Api(api::Arguments),
    /// What the sidecar costs for each message it sends, against a loop that writes the same frames to the same sockets
    Fanout(fanout::Arguments),
    /// The receiver of the others, as a process of its own
    #[command(hide = true)]
    Sink(sink::Arguments),
    /// The writers of capture
    #[command(hide = true)]
    Write(crowd::Writing),
    /// The listeners of capture
    #[command(hide = true)]
    Listen(crowd::Listening),
    /// The subscribers of fanout
    #[command(hide = true)]
    Hear(audience::Hearing),
    /// The baseline of fanout
    #[command(hide = true)]
    Frames(frames::Writing),
}

/// Runs one.
pub(super) async fn run(globals: &Globals, arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.what {
        What::Hear(hearing) => return audience::run(hearing).await,
        What::Frames(writing) => return frames::run(&writing),
        What::Sink(arguments) => return sink::run(arguments).await,
        What::Write(arguments) => return crowd::write(globals, &arguments).await,
        What::Listen(arguments) => return crowd::listen(globals, &arguments).await,
        _ => {}
    }
    let stage = Stage::open(globals).await?;
    // Whatever comes of it, and if it is Ctrl-C: what was set up is tidied away.
    let measured = tokio::select! {
        measured = measure(&stage, &arguments) => measured,
        () = lifecycle::interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    stage.close().await?;
    measured?.print(arguments.how.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures on a stage that is set up.
async fn measure(stage: &Stage, arguments: &Arguments) -> anyhow::Result<Report> {
    let how = arguments.how;
    match &arguments.what {
        What::Drain(arguments) => drain::run(stage, how, arguments).await,
        What::Capture(arguments) => capture::run(stage, how, arguments).await,
        What::Latency(arguments) => latency::run(stage, how, arguments).await,
        What::Backlog(arguments) => backlog::run(stage, how, arguments).await,
        What::Neighbour(arguments) => neighbour::run(stage, how, arguments).await,
        What::Bloat(arguments) => bloat::run(stage, how, arguments).await,
        What::Soak(arguments) => soak::run(stage, how, arguments).await,
        What::Api(arguments) => api::run(stage, how, arguments).await,
        What::Fanout(arguments) => fanout::run(stage, how, arguments).await,
        What::Sink(_) | What::Write(_) | What::Listen(_) | What::Hear(_) | What::Frames(_) => {
            unreachable!("these need no stage")
        }
    }
}

/// Prints a line for the process that started this one.
async fn say(line: &str) -> anyhow::Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(format!("{line}\n").as_bytes()).await?;
    Ok(out.flush().await?)
}

/// The first line that a process of ours says.
async fn first_line(child: &mut Child) -> anyhow::Result<String> {
    let out = child.stdout.take().context("its output")?;
    let mut lines = BufReader::new(out).lines();
    lines.next_line().await?.context("it ended without a word")
}
