//! What a transaction held open does to the drain: behind it nothing can be vacuumed, and every version of every row stays.
//!
//! The queue is filled all along as fast as it is drained; what counts is the last minute.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use super::How;
use super::report::{Report, Target};
use super::sink::SinkProcess;
use super::stage::Stage;
use super::worker::WorkerProcess;
use crate::db::bench::{ATTEMPTS_MAX, Application, Fill};

/// Rows added at a time.
const STEP_ROWS: u32 = 20_000;
/// So many are always queued.
const QUEUED: u64 = 60_000;
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The part of the rate that must be left.
const LEFT_MIN: f64 = 0.7;

/// Arguments of `bench bloat`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How long each of the two runs lasts; the last minute counts
    #[arg(long, default_value_t = 10.0, value_name = "MINUTES")]
    minutes: f64,
    /// The size of each payload
    #[arg(long, default_value_t = 512, value_name = "BYTES")]
    payload: usize,
    /// Endpoints
    #[arg(long, default_value_t = 100, value_name = "N")]
    endpoints: usize,
}

/// One run's rates.
#[derive(Debug, Clone, Copy)]
struct Rates {
    first: f64,
    last: f64,
}

/// Measures.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let length = if how.quick {
        Duration::from_secs(3)
    } else {
        Duration::from_secs_f64(arguments.minutes * 60.0)
    };
    let mut sink = SinkProcess::start().await?;
    let endpoints = stage.endpoints(sink.address, arguments.endpoints).await?;
    let fill = Fill {
        endpoints: &endpoints,
        rows: STEP_ROWS.into(),
        payload_bytes: arguments.payload,
        due_in_s: 0.0,
        attempts_max: ATTEMPTS_MAX,
    };
    let free = one(stage, &mut sink, &fill, length).await?;
    let mut application = Application::connect(&stage.options).await?;
    application.hold_a_transaction().await?;
    let held = one(stage, &mut sink, &fill, length).await?;
    application.close().await?;

    let mut report = stage.report("bloat").await?;
    for (name, rates) in [("without", free), ("with a transaction held open", held)] {
        report.figure(format!("{name}: first part"), rates.first, "/s");
        report.figure(format!("{name}: last part"), rates.last, "/s");
    }
    report.ratio(
        "last part, with / without",
        held.last / free.last,
        Some(Target::AtLeast(LEFT_MIN)),
    );
    Ok(report)
}

/// One run. The parts are a minute, or a third of a run that is shorter than three.
async fn one(
    stage: &Stage,
    sink: &mut SinkProcess,
    fill: &Fill<'_>,
    length: Duration,
) -> anyhow::Result<Rates> {
    stage.database.bench_empty().await?;
    stage.database.bench_fill(fill).await?;
    let before = sink.requests().await?;
    let mut worker = WorkerProcess::start(stage, &[])?;
    let part = (length / 3).min(Duration::from_mins(1));
    let start = Instant::now();
    let (mut filled, mut first, mut last_from) = (u64::from(STEP_ROWS), None, None);
    loop {
        worker.check()?;
        let delivered = sink.requests().await? - before;
        let elapsed = start.elapsed();
        if first.is_none() && elapsed >= part {
            first = Some(rate(delivered, elapsed));
        }
        if last_from.is_none() && elapsed + part >= length {
            last_from = Some((delivered, elapsed));
        }
        let (from, at) = last_from.unwrap_or_default();
        // On a busy machine one turn may take longer than a part; a part must not be empty.
        if elapsed >= length.max(at + part / 2) {
            worker.stop().await?;
            return Ok(Rates {
                first: first.unwrap_or_default(),
                last: rate(delivered - from, elapsed.saturating_sub(at)),
            });
        }
        if filled.saturating_sub(delivered) < QUEUED {
            stage.database.bench_fill(fill).await?;
            filled += u64::from(STEP_ROWS);
        } else {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// So many in that time, a second.
fn rate(deliveries: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let deliveries = deliveries as f64;
    deliveries / time.as_secs_f64()
}
