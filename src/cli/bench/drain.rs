//! How fast a full queue is emptied: signed, logged, to a receiver on the same cores.
//!
//! Against two baselines, taken in turn with it: (a) the same client posting the same signed bytes with no queue, and (b) claim,
//! completion and attempt log with no requests. One delivery needs both, so what they allow together is 1/(1/a + 1/b).

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::How;
use super::client::Poster;
use super::meter::{Meter, Reading, Runs};
use super::report::{Report, Target};
use super::sink::SinkProcess;
use super::stage::Stage;
use super::statements;
use super::worker::WorkerProcess;
use crate::db::bench::{ATTEMPTS_MAX, Fill};

/// How often to look whether the queue is empty.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What the worker may hold in memory.
const RESIDENT_MAX_MB: f64 = 150.0;
/// The part of what both baselines allow together that must be reached.
const TOGETHER_MIN: f64 = 0.7;

/// Arguments of `bench drain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Deliveries in each round
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    deliveries: u32,
    /// The size of each payload
    #[arg(long, default_value_t = 512, value_name = "BYTES")]
    payload: usize,
    /// Rounds, of which the median is taken
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,
    /// Endpoints they are spread over
    #[arg(long, default_value_t = 100, value_name = "N")]
    endpoints: usize,
    /// Requests in flight, in the worker and in the baseline
    #[arg(long, default_value_t = 1000, value_name = "N")]
    in_flight: usize,
    /// Rows of one claim, in the worker and in the baseline
    #[arg(long, default_value_t = 500, value_name = "N")]
    claim_batch: usize,
    /// Only one part, for profiling
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
}

/// What is measured in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Baseline (a).
    Requests,
    /// Baseline (b).
    Statements,
    /// The worker.
    Drain,
}

/// Everything that takes part.
struct Play<'a> {
    stage: &'a Stage,
    arguments: &'a Arguments,
    deliveries: u32,
    sink: SinkProcess,
    endpoints: Vec<i64>,
}

/// What the rounds showed.
#[derive(Default)]
struct Rounds {
    posts: Runs,
    statements: Runs,
    drains: Runs,
    wal_bytes_each: f64,
    resident_max_bytes: u64,
}

/// Measures.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let (deliveries, rounds) = if how.quick {
        (2_000, 1)
    } else {
        (arguments.deliveries, arguments.rounds)
    };
    let sink = SinkProcess::start().await?;
    let poster = Poster::new(stage, sink.address, arguments.endpoints, arguments.payload)?;
    let endpoints = stage.endpoints(sink.address, arguments.endpoints).await?;
    let mut play = Play {
        stage,
        arguments,
        deliveries,
        sink,
        endpoints,
    };
    let mut seen = Rounds::default();
    for _ in 0..rounds {
        let wants = |part| arguments.only.is_none_or(|only| only == part);
        if wants(Part::Requests) {
            let reading = play.post(&poster).await?;
            seen.posts.push(reading, deliveries.into());
        }
        if wants(Part::Statements) {
            let reading = play.statements().await?;
            seen.statements.push(reading, deliveries.into());
        }
        if wants(Part::Drain) {
            play.drain(&mut seen).await?;
        }
    }
    let mut report = stage.report("drain").await?;
    tell(&mut report, &seen, arguments.only);
    Ok(report)
}

impl Play<'_> {
    /// Baseline (a).
    async fn post(&self, poster: &Poster) -> anyhow::Result<Reading> {
        let meter = Meter::start(self.stage, &[self.sink.pid()]);
        poster
            .post(self.deliveries.into(), self.arguments.in_flight)
            .await?;
        Ok(meter.read(self.stage))
    }

    /// Baseline (b).
    async fn statements(&self) -> anyhow::Result<Reading> {
        self.fill().await?;
        let meter = Meter::start(self.stage, &[]);
        let database = &self.stage.database;
        statements::run(database, self.deliveries.into(), self.arguments.claim_batch).await?;
        Ok(meter.read(self.stage))
    }

    /// The worker, from its first request to its last completion.
    async fn drain(&mut self, seen: &mut Rounds) -> anyhow::Result<()> {
        self.fill().await?;
        let wal_before = self.stage.database.bench_wal_bytes().await?;
        let before = self.sink.requests().await?;
        let mut worker = WorkerProcess::start(
            self.stage,
            &[
                (
                    "POSTRIDER_WORKER__IN_FLIGHT_MAX",
                    &self.arguments.in_flight.to_string(),
                ),
                (
                    "POSTRIDER_WORKER__CLAIM_BATCH_MAX",
                    &self.arguments.claim_batch.to_string(),
                ),
            ],
        )?;
        while self.sink.requests().await? == before {
            worker.check()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let meter = Meter::start(self.stage, &[worker.pid(), self.sink.pid()]);
        let already = self.sink.requests().await? - before;
        while self.sink.requests().await? - before < u64::from(self.deliveries) {
            worker.check()?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        while self.stage.database.bench_any_due().await? {
            worker.check()?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let reading = meter.read(self.stage);
        let wal = self.stage.database.bench_wal_bytes().await? - wal_before;
        seen.drains
            .push(reading, u64::from(self.deliveries) - already);
        seen.resident_max_bytes = seen.resident_max_bytes.max(worker.resident_max_bytes());
        worker.stop().await?;
        #[expect(clippy::cast_precision_loss, reason = "a size")]
        let wal_bytes = wal as f64;
        seen.wal_bytes_each = wal_bytes / f64::from(self.deliveries);
        let [pending, delivered, failed, attempts] = self.stage.database.bench_counts().await?;
        anyhow::ensure!(
            delivered == i64::from(self.deliveries) && attempts >= delivered,
            "not everything was delivered and logged: {pending} pending, {delivered} delivered, {failed} failed, {attempts} attempts"
        );
        Ok(())
    }

    /// A fresh queue, full.
    async fn fill(&self) -> anyhow::Result<()> {
        let database = &self.stage.database;
        database.bench_empty().await?;
        database
            .bench_fill(&Fill {
                endpoints: &self.endpoints,
                rows: self.deliveries.into(),
                payload_bytes: self.arguments.payload,
                due_in_s: 0.0,
                attempts_max: ATTEMPTS_MAX,
            })
            .await?;
        Ok(database.bench_settle().await?)
    }
}

/// Figures and ratios.
fn tell(report: &mut Report, seen: &Rounds, only: Option<Part>) {
    let wants = |part| only.is_none_or(|only| only == part);
    if wants(Part::Requests) {
        let parts = [
            ("client", seen.posts.cpu_us(|r| r.own_s)),
            ("sink", seen.posts.cpu_us(|r| r.named_s[0])),
        ];
        seen.posts.report(report, "a, requests alone", &parts);
    }
    if wants(Part::Statements) {
        let parts = [
            ("worker", seen.statements.cpu_us(|r| r.own_s)),
            ("postgres", seen.statements.cpu_us(|r| r.postgres_s)),
        ];
        seen.statements
            .report(report, "b, statements alone", &parts);
    }
    if wants(Part::Drain) {
        tell_drain(report, seen);
    }
    if only.is_none() {
        tell_ratios(report, seen);
    }
}

/// What the worker did.
fn tell_drain(report: &mut Report, seen: &Rounds) {
    let drains = &seen.drains;
    let parts = [
        ("worker", drains.cpu_us(|r| r.named_s[0])),
        ("sink", drains.cpu_us(|r| r.named_s[1])),
        ("postgres", drains.cpu_us(|r| r.postgres_s)),
    ];
    drains.report(report, "drain", &parts);
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let cores = report.machine.cores as f64;
    let allowed = cores / drains.cpu_us(drain_cpu_s) * 1e6;
    report.figure("drain: rate these cores allow at that cost", allowed, "/s");
    report.figure("drain: WAL", seen.wal_bytes_each, "bytes each");
    #[expect(clippy::cast_precision_loss, reason = "a size")]
    let resident_mb = seen.resident_max_bytes as f64 / 1e6;
    report.ratio(
        "worker's resident memory at most, MB",
        resident_mb,
        Some(Target::AtMost(RESIDENT_MAX_MB)),
    );
}

/// The worker against both baselines.
fn tell_ratios(report: &mut Report, seen: &Rounds) {
    let (a, b) = (seen.posts.per_second(), seen.statements.per_second());
    let together = 1.0 / (1.0 / a + 1.0 / b);
    report.ratio(
        "drain / what a and b allow together",
        seen.drains.per_second() / together,
        Some(Target::AtLeast(TOGETHER_MIN)),
    );
    let parts_us = seen.posts.cpu_us(|r| r.own_s + r.named_s[0])
        + seen.statements.cpu_us(|r| r.own_s + r.postgres_s);
    report.ratio(
        "the same by CPU time",
        parts_us / seen.drains.cpu_us(drain_cpu_s),
        None,
    );
}

/// CPU of all that take part in a drain.
fn drain_cpu_s(reading: &Reading) -> f64 {
    reading.named_s.iter().sum::<f64>() + reading.postgres_s
}
