//! What the HTTP API costs: events published one by one and a hundred at a time, and configuration read, by so many clients.
//!
//! Against `select postrider.emit(…)` by as many SQL clients, taken in turn with it. The API is a process of its own, with as many
//! connections to the database as there are clients; the clients are this process, on the same cores.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clap::Args;

use super::How;
use super::api_process::ApiProcess;
use super::callers::{Asked, Caller, Calls, Emitter};
use super::meter::{Meter, Reading, Runs};
use super::report::{Report, Target, median, quantile};
use super::stage::Stage;
use crate::db::bench::{Application, INSTANCE, payload};

/// Events of one batch.
const BATCH: usize = 100;
/// One event over HTTP may cost so much, in emits.
const SINGLE_MAX: f64 = 2.0;
/// So much faster batches must be than single events.
const BATCH_MIN: f64 = 5.0;
/// Where the endpoint is; nothing is sent to it, for no worker runs.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// Arguments of `bench api`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Clients, of HTTP and of SQL alike
    #[arg(long, default_value_t = 16, value_name = "N")]
    clients: u32,
    /// How long each run lasts
    #[arg(long, default_value_t = 4, value_name = "SECONDS")]
    seconds: u32,
    /// Rounds, of which the median is taken
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,
    /// The size of each event
    #[arg(long, default_value_t = 512, value_name = "BYTES")]
    payload: usize,
}

/// What is measured in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arm {
    /// The baseline: SQL.
    Emit,
    /// One event a request.
    Single,
    /// A hundred.
    Batch,
    /// The endpoints of an instance.
    Read,
}

/// The order within a round.
const ARMS: [Arm; 4] = [Arm::Emit, Arm::Single, Arm::Batch, Arm::Read];

/// Everything that takes part.
struct Play<'a> {
    stage: &'a Stage,
    api: ApiProcess,
    clients: u32,
    seconds: u32,
    event: Arc<str>,
}

/// What the rounds of one arm showed.
#[derive(Default)]
struct Shown {
    runs: Runs,
    /// In milliseconds, by round.
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

/// Measures.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let (seconds, rounds) = if how.quick {
        (1, 1)
    } else {
        (arguments.seconds, arguments.rounds)
    };
    stage.endpoints(NOWHERE, 1).await?;
    let play = Play {
        stage,
        api: ApiProcess::start(stage, arguments.clients).await?,
        clients: arguments.clients,
        seconds,
        event: payload(0, arguments.payload).into(),
    };
    let mut shown: [Shown; 4] = Default::default();
    for _ in 0..rounds {
        for (arm, shown) in ARMS.into_iter().zip(&mut shown) {
            let (calls, reading) = play.one(arm).await?;
            shown.push(&calls, reading);
        }
    }
    play.api.stop().await?;
    let mut report = stage.report("api").await?;
    tell(&mut report, &shown, arguments.clients);
    Ok(report)
}

impl Play<'_> {
    /// One run.
    async fn one(&self, arm: Arm) -> anyhow::Result<(Calls, Reading)> {
        self.stage.database.bench_empty().await?;
        let asked = match arm {
            Arm::Emit => return self.emit().await,
            Arm::Single => Asked::publish(&self.event),
            Arm::Batch => Asked::publish_batch(&self.event, BATCH),
            Arm::Read => Asked::endpoints(),
        };
        let caller = Caller::new(self.api.address, self.api.token(), asked)?;
        caller.call(self.clients, 0.2).await?;
        let meter = Meter::start(self.stage, &[self.api.pid()]);
        let calls = caller.call(self.clients, self.seconds.into()).await?;
        Ok((calls, meter.read(self.stage)))
    }

    /// One run of the baseline.
    async fn emit(&self) -> anyhow::Result<(Calls, Reading)> {
        let mut applications = Vec::new();
        for _ in 0..self.clients {
            let mut application = Application::connect(&self.stage.options).await?;
            application.publish(INSTANCE, &self.event).await?;
            applications.push(application);
        }
        let emitter = Emitter {
            event: self.event.clone(),
        };
        let meter = Meter::start(self.stage, &[]);
        let calls = emitter.call(applications, self.seconds).await?;
        Ok((calls, meter.read(self.stage)))
    }
}

impl Shown {
    /// Notes a run.
    fn push(&mut self, calls: &Calls, mut reading: Reading) {
        reading.wall_s = calls.wall_s;
        self.runs.push(reading, calls.items);
        self.p50_ms.push(quantile(&calls.latencies_ms, 0.5));
        self.p99_ms.push(quantile(&calls.latencies_ms, 0.99));
    }
}

/// Figures and ratios.
fn tell(report: &mut Report, shown: &[Shown; 4], clients: u32) {
    let [emit, single, batch, read] = shown;
    let of_clients = format!("{clients} clients");
    for (name, unit, shown) in [
        ("select postrider.emit(…)", "events/s", emit),
        ("POST …/events", "events/s", single),
        ("POST …/events/batch, 100 each", "events/s", batch),
        ("GET …/endpoints", "requests/s", read),
    ] {
        let name = format!("{of_clients}, {name}");
        report.figure(&name, shown.runs.per_second(), unit);
        report.figure(format!("{name}: p50"), median(&shown.p50_ms), "ms");
        report.figure(format!("{name}: p99"), median(&shown.p99_ms), "ms");
        for (part, of) in PARTS {
            let cost_us = shown.runs.cpu_us(of);
            report.figure(format!("{name}: CPU of {part}"), cost_us, "us each");
        }
    }
    report.ratio(
        "select emit / one event over HTTP",
        emit.runs.per_second() / single.runs.per_second(),
        Some(Target::AtMost(SINGLE_MAX)),
    );
    report.ratio(
        "one event over HTTP / select emit, by CPU time of the servers",
        single.runs.cpu_us(of_servers) / emit.runs.cpu_us(of_servers),
        None,
    );
    report.ratio(
        "batches of 100 / one by one",
        batch.runs.per_second() / single.runs.per_second(),
        Some(Target::AtLeast(BATCH_MIN)),
    );
}

/// A part of what a reading says.
type Part = fn(&Reading) -> f64;

/// Who uses CPU.
const PARTS: [(&str, Part); 3] = [
    ("postgres", |reading| reading.postgres_s),
    ("the API", of_the_api),
    ("the clients", |reading| reading.own_s),
];

/// CPU of the API's process.
fn of_the_api(reading: &Reading) -> f64 {
    reading.named_s.first().copied().unwrap_or(0.0)
}

/// CPU of all but the clients.
fn of_servers(reading: &Reading) -> f64 {
    reading.postgres_s + of_the_api(reading)
}
