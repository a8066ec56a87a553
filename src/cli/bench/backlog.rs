//! What a long queue costs: claims and deliveries while few, and while many, rows stay queued.
//!
//! They stay queued as rows do: half of them are due and wait their turn behind those that are measured, half of them are
//! due later. So the measured rows are the first part of a queue that is not empty at the end.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use super::How;
use super::report::{Report, Target, median, quantile};
use super::sink::SinkProcess;
use super::stage::Stage;
use super::statements;
use super::worker::WorkerProcess;
use crate::db::bench::{ATTEMPTS_MAX, Fill};

/// Rows of one claim, as in a worker.
const CLAIM_BATCH: usize = 500;
/// How often to look how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The size of each payload.
const PAYLOAD_BYTES: usize = 512;
/// How much slower a long queue may be.
const SLOWER_MAX: f64 = 1.5;

/// Arguments of `bench backlog`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Rows that stay queued in the short queue
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    few: u32,
    /// Rows that stay queued in the long queue
    #[arg(long, default_value_t = 10_000_000, value_name = "N")]
    many: u32,
    /// Deliveries measured, in claims alone and in deliveries each
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    deliveries: u32,
    /// Endpoints they are spread over
    #[arg(long, default_value_t = 100, value_name = "N")]
    endpoints: usize,
}

/// What one queue showed.
#[derive(Debug, Default, Clone)]
struct Seen {
    claims_ms: Vec<f64>,
    per_second: Vec<f64>,
}

/// Measures: the short queue before and after the long one, so that a machine that changes meanwhile shows.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let (few, many, deliveries) = if how.quick {
        (500, 5_000, 1_000)
    } else {
        (arguments.few, arguments.many, arguments.deliveries)
    };
    let mut sink = SinkProcess::start().await?;
    let endpoints = stage.endpoints(sink.address, arguments.endpoints).await?;
    let mut short = Seen::default();
    let mut long = Seen::default();
    one(stage, &mut sink, &endpoints, (few, deliveries), &mut short).await?;
    one(stage, &mut sink, &endpoints, (many, deliveries), &mut long).await?;
    one(stage, &mut sink, &endpoints, (few, deliveries), &mut short).await?;
    let mut report = stage.report("backlog").await?;
    tell(&mut report, &[(few, &short), (many, &long)]);
    Ok(report)
}

/// One queue: first the statements alone, for the claims' time, then a worker.
async fn one(
    stage: &Stage,
    sink: &mut SinkProcess,
    endpoints: &[i64],
    (stay, deliveries): (u32, u32),
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let database = &stage.database;
    database.bench_empty().await?;
    let half = i64::from(stay / 2);
    // The last claim of the statements may bring more than was asked for.
    let measured = 2 * i64::from(deliveries) + i64::try_from(CLAIM_BATCH)?;
    for (rows, due_in_s) in [(half + measured, 0.0), (half, 3600.0)] {
        database
            .bench_fill(&Fill {
                endpoints,
                rows,
                payload_bytes: PAYLOAD_BYTES,
                due_in_s,
                attempts_max: ATTEMPTS_MAX,
            })
            .await?;
    }
    database.bench_settle().await?;
    let ran = statements::run(database, deliveries.into(), CLAIM_BATCH).await?;
    seen.claims_ms.extend(ran.claims_ms);

    let before = sink.requests().await?;
    let mut worker = WorkerProcess::start(stage, &[])?;
    while sink.requests().await? == before {
        worker.check()?;
        sleep(Duration::from_millis(1)).await;
    }
    let (start, already) = (Instant::now(), sink.requests().await?);
    let end = before + u64::from(deliveries);
    let mut done = already;
    while done < end {
        worker.check()?;
        sleep(LOOK_EVERY).await;
        done = sink.requests().await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let delivered = (done - already) as f64;
    seen.per_second
        .push(delivered / start.elapsed().as_secs_f64());
    worker.stop().await
}

/// Figures and ratios.
fn tell(report: &mut Report, queues: &[(u32, &Seen); 2]) {
    for (stay, seen) in queues {
        report.figure(
            format!("{stay} queued: claim, p50"),
            median(&seen.claims_ms),
            "ms",
        );
        report.figure(
            format!("{stay} queued: claim, p95"),
            quantile(&seen.claims_ms, 0.95),
            "ms",
        );
        report.figure(
            format!("{stay} queued: drain"),
            median(&seen.per_second),
            "/s",
        );
    }
    let [(_, short), (_, long)] = queues;
    report.ratio(
        "claim time, long queue / short queue",
        median(&long.claims_ms) / median(&short.claims_ms),
        Some(Target::AtMost(SLOWER_MAX)),
    );
    report.ratio(
        "drain rate, short queue / long queue",
        median(&short.per_second) / median(&long.per_second),
        Some(Target::AtMost(SLOWER_MAX)),
    );
}
