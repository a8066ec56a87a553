//! What it costs the application that its table is captured: commits a second.
//!
//! The same program writes into a captured table while a listener follows, against plain inserts; and while many follow, against
//! the same event and queue rows with the same listeners only polling, no bell. Writers and listeners are processes of their own.
//!
//! What no capture could do without is measured beside it: the same rows written by one bare statement of the application, without
//! a trigger or a function; and a trigger that looks at its row and writes nothing.

use std::process::Stdio;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::process::{Child, Command};

use super::How;
use super::meter::{Meter, Reading, Runs};
use super::report::{Report, Target};
use super::sink::SinkProcess;
use super::stage::Stage;
use super::worker::WorkerProcess;

/// Writers, listeners, and the targets against polling and against plain inserts.
const SCENES: [(u32, u32, f64, f64); 2] = [(16, 8, 0.95, 0.50), (64, 24, 0.85, 0.35)];

/// Arguments of `bench capture`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How long each run lasts
    #[arg(long, default_value_t = 4, value_name = "SECONDS")]
    seconds: u32,
    /// Rounds, of which the median is taken
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Arm {
    /// No capture.
    Plain,
    /// Capture, one listener at the bell.
    Followed,
    /// Capture, listeners that poll.
    Polled,
    /// Capture, listeners at the bell.
    Rung,
    /// Capture, and a worker that delivers what comes.
    Delivered,
    /// No capture, and the rows that capture would write, by the application's own statement; a listener that polls.
    Bare,
    /// A trigger that writes nothing.
    Looked,
}

/// The order within a round.
const ARMS: [Arm; 7] = [
    Arm::Plain,
    Arm::Followed,
    Arm::Polled,
    Arm::Rung,
    Arm::Delivered,
    Arm::Bare,
    Arm::Looked,
];

/// Measures.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let (seconds, rounds) = if how.quick {
        (1, 1)
    } else {
        (arguments.seconds, arguments.rounds)
    };
    let sink = SinkProcess::start().await?;
    stage.endpoints(sink.address, 1).await?;
    stage.database.bench_tables().await?;
    let mut report = stage.report("capture").await?;
    for (writers, listeners, of_polled, of_plain) in SCENES {
        let mut runs: [Runs; 7] = Default::default();
        for _ in 0..rounds {
            for (arm, runs) in ARMS.into_iter().zip(&mut runs) {
                let (commits, reading) = one(stage, arm, writers, listeners, seconds).await?;
                runs.push(reading, commits);
            }
        }
        tell(
            &mut report,
            &runs,
            writers,
            listeners,
            [of_polled, of_plain],
        );
    }
    Ok(report)
}

/// One run: commits, and what they cost.
async fn one(
    stage: &Stage,
    arm: Arm,
    writers: u32,
    listeners: u32,
    seconds: u32,
) -> anyhow::Result<(u64, Reading)> {
    stage.database.bench_empty().await?;
    stage.database.bench_empty_tables().await?;
    let worker = match arm {
        Arm::Delivered => Some(WorkerProcess::start(stage, &[])?),
        Arm::Plain | Arm::Followed | Arm::Polled | Arm::Rung | Arm::Bare | Arm::Looked => None,
    };
    let following = match arm {
        Arm::Followed | Arm::Bare => Some(listen(stage, arm, 1).await?),
        Arm::Polled | Arm::Rung => Some(listen(stage, arm, listeners).await?),
        Arm::Plain | Arm::Delivered | Arm::Looked => None,
    };
    let meter = Meter::start(stage, &[]);
    let mut writing = ours(stage)
        .args(["bench", "write", "--connections", &writers.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .args([
            "--arm",
            arm.to_possible_value().context("an arm")?.get_name(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the writers")?;
    let said = super::first_line(&mut writing).await?;
    let mut words = said.split(' ');
    let commits: u64 = words.next().unwrap_or_default().parse()?;
    let mut reading = meter.read(stage);
    // The writers know when the first and the last of them was at work.
    reading.wall_s = words.next().unwrap_or_default().parse()?;
    anyhow::ensure!(writing.wait().await?.success(), "the writers failed");
    if let Some(mut following) = following {
        following.kill().await?;
    }
    if let Some(worker) = worker {
        worker.stop().await?;
    }
    Ok((commits, reading))
}

/// Listeners, awake.
async fn listen(stage: &Stage, arm: Arm, listeners: u32) -> anyhow::Result<Child> {
    let mut command = ours(stage);
    command.args(["bench", "listen", "--listeners", &listeners.to_string()]);
    // The bare statement does not ring.
    if matches!(arm, Arm::Polled | Arm::Bare) {
        command.arg("--polling");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the listeners")?;
    super::first_line(&mut child).await?;
    Ok(child)
}

/// Our own program, at the stage's database.
fn ours(stage: &Stage) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .env("DATABASE_URL", &stage.url)
        .env("POSTRIDER_LOG__LEVEL", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Figures and ratios of one scene.
fn tell(report: &mut Report, runs: &[Runs; 7], writers: u32, listeners: u32, targets: [f64; 2]) {
    let [plain, followed, polling, belled, delivered, bare, looked] = runs;
    let scene = format!("{writers} writers");
    for (name, runs) in [
        ("plain inserts", plain),
        ("captured, a listener at the bell", followed),
        ("captured, many listeners polling", polling),
        ("captured, many listeners at the bell", belled),
        ("captured, a worker delivering", delivered),
        ("the same rows by one bare statement", bare),
        ("a trigger that writes nothing", looked),
    ] {
        report.figure(format!("{scene}, {name}"), runs.per_second(), "commits/s");
        report.figure(
            format!("{scene}, {name}: CPU of postgres"),
            runs.cpu_us(|reading| reading.postgres_s),
            "us each",
        );
    }
    report.ratio(
        format!("{scene}, {listeners} listeners: bell / polling"),
        belled.per_second() / polling.per_second(),
        Some(Target::AtLeast(targets[0])),
    );
    report.ratio(
        format!("{scene}, a listener: captured / plain"),
        followed.per_second() / plain.per_second(),
        Some(Target::AtLeast(targets[1])),
    );
    report.ratio(
        format!("{scene}, {listeners} listeners: captured / plain"),
        belled.per_second() / plain.per_second(),
        None,
    );
    report.ratio(
        format!("{scene}, the same rows by one bare statement: bare / plain"),
        bare.per_second() / plain.per_second(),
        None,
    );
    report.ratio(
        format!("{scene}, the same rows by one bare statement: captured / bare"),
        followed.per_second() / bare.per_second(),
        None,
    );
    report.ratio(
        format!("{scene}, a trigger that writes nothing / plain"),
        looked.per_second() / plain.per_second(),
        None,
    );
    // What the two cost on top of a plain insert, together: about the least that a trigger which writes these rows can cost.
    let least = 1.0 / bare.per_second() + 1.0 / looked.per_second() - 1.0 / plain.per_second();
    report.ratio(
        format!("{scene}, bare statement and empty trigger together / plain"),
        1.0 / (least * plain.per_second()),
        None,
    );
    report.ratio(
        format!("{scene}, a worker delivering: captured / plain"),
        delivered.per_second() / plain.per_second(),
        None,
    );
}
