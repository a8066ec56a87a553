//! What the sidecar costs for each message it sends, how late it is, what a connection weighs, and how fast all are back.
//!
//! Against a loop that writes the same finished frames to the same number of sockets, taken in turn with it: less than that
//! nobody can do who writes to sockets. Server, baseline and subscribers are processes of their own, so that the CPU of a server
//! is its own. A round is over when every subscriber has everything; the next one begins then.

use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::How;
use super::api_process::ApiProcess;
use super::audience::{AudienceProcess, microseconds};
use super::frames::FramesProcess;
use super::machine;
use super::report::{Report, Target, median, quantile};
use super::stage::Stage;
use crate::crypto::token;
use crate::db::bench::{Application, INSTANCE, payload};

/// The size of each event.
const EVENT_BYTES: usize = 256;
/// Events of a burst.
const BURST: u64 = 50;
/// Rounds of one event, and of a burst, in each turn.
const SINGLES: u64 = 200;
const BURSTS: u64 = 30;
/// Subscribers at a steady rate.
const FEW: usize = 100;
/// Connections that emit at a steady rate.
const WRITERS: u64 = 8;
/// The targets.
const RATIO_MAX: f64 = 1.5;
const CONNECTION_KB_MAX: f64 = 5.0;
const P50_MAX_MS: f64 = 5.0;
const P99_MAX_MS: f64 = 30.0;
const BACK_MAX_S: f64 = 5.0;
const COMMIT_RATIO_MAX: f64 = 1.1;

/// Arguments of `bench fanout`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Subscribers of the same instance
    #[arg(long, default_value_t = 1000, value_name = "N")]
    subscribers: usize,
    /// Rounds, of which the median is taken
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,
    /// Events a second at a steady rate
    #[arg(long, default_value_t = 1000, value_name = "N")]
    rate: u64,
    /// For how long, in each round
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    seconds: u64,
    /// Idle connections
    #[arg(long, default_value_t = 9000, value_name = "N")]
    idle: usize,
    /// Clients that come back after a restart
    #[arg(long, default_value_t = 5000, value_name = "N")]
    back: usize,
    /// Only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// CPU of each message.
    Cpu,
    /// Latency, and what committing costs.
    Rate,
    /// Memory of idle connections.
    Idle,
    /// A restart.
    Back,
}

/// Measures.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let sizes = if how.quick {
        Sizes {
            // Fewer would cost the loop no tick of the clock that CPU is counted by.
            subscribers: 200,
            rounds: 1,
            rate: 100,
            seconds: 1,
            idle: 50,
            back: 50,
            few: 5,
            scale: 2,
        }
    } else {
        Sizes {
            subscribers: arguments.subscribers,
            rounds: arguments.rounds,
            rate: arguments.rate,
            seconds: arguments.seconds,
            idle: arguments.idle,
            back: arguments.back,
            few: FEW,
            scale: 1,
        }
    };
    // The instance, and nobody to deliver to.
    stage.database.bench_endpoints(&[], "").await?;
    let mut play = Play {
        stage,
        sizes,
        application: Application::connect(&stage.options).await?,
        token: token::generate(&mut rand::rng()),
    };
    let mut report = stage.report("fanout").await?;
    let wanted = |part| arguments.only.is_none_or(|only| only == part);
    if wanted(Part::Cpu) {
        play.cpu(&mut report).await?;
    }
    if wanted(Part::Rate) {
        play.rate(&mut report).await?;
    }
    if wanted(Part::Idle) {
        play.idle(&mut report).await?;
    }
    if wanted(Part::Back) {
        play.back(&mut report).await?;
    }
    play.application.close().await?;
    Ok(report)
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    subscribers: usize,
    rounds: u32,
    rate: u64,
    seconds: u64,
    idle: usize,
    back: usize,
    few: usize,
    /// Divides the rounds within a turn.
    scale: u64,
}

/// Everything that takes part.
struct Play<'a> {
    stage: &'a Stage,
    sizes: Sizes,
    /// Emits.
    application: Application,
    /// The subscribers'. It outlives a sidecar, as everybody's does.
    token: SecretString,
}

impl Play<'_> {
    /// The sidecar, on this port or on any.
    async fn sidecar(&self, port: u16) -> anyhow::Result<ApiProcess> {
        let connections_max = self.sizes.idle.max(self.sizes.back) + 1000;
        let mut settings = Vec::new();
        for limit in ["", "_PER_INSTANCE", "_PER_TOKEN"] {
            let name = format!("POSTRIDER_REALTIME__CONNECTIONS{limit}_MAX");
            settings.push((name, connections_max.to_string()));
        }
        let listen = format!("127.0.0.1:{port}");
        settings.push(("POSTRIDER_HTTP__LISTEN".to_owned(), listen));
        ApiProcess::start_realtime(self.stage, self.token.clone(), &settings).await
    }

    /// So many subscribers to it.
    async fn audience(
        &self,
        server: &ApiProcess,
        count: usize,
        timed: bool,
    ) -> anyhow::Result<AudienceProcess> {
        let path = format!("/v1/instances/{INSTANCE}/stream");
        let mut more = vec!["--path", &path];
        if timed {
            more.push("--timed");
        }
        let token = self.token.expose_secret();
        let (audience, _) = AudienceProcess::start(server.address, count, &more, token).await?;
        Ok(audience)
    }

    /// CPU of each message, single and in bursts, beside the baseline's.
    async fn cpu(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let count = self.sizes.subscribers;
        let server = self.sidecar(0).await?;
        let mut hearing = self.audience(&server, count, false).await?;
        let event = payload(microseconds(), EVENT_BYTES);
        // The first ones find everything cold; they also tell how long a frame is.
        self.application
            .publish_many(INSTANCE, &event, BURST)
            .await?;
        let bytes = hearing.expect(BURST).await? / BURST / hearing.count;
        let mut baseline = FramesProcess::start(count, usize::try_from(bytes)?).await?;
        let (mut plain, _) = AudienceProcess::start(baseline.address, count, &[], "").await?;
        baseline.write(BURST).await?;
        plain.expect(BURST).await?;
        let mut costs: [Vec<f64>; 4] = Default::default();
        for _ in 0..self.sizes.rounds {
            for (at, (rounds, burst)) in [(SINGLES, 1), (BURSTS, BURST)].into_iter().enumerate() {
                let rounds = (rounds / self.sizes.scale).max(1);
                let messages = rounds * burst * hearing.count;
                let before = machine::cpu_s(baseline.pid()).unwrap_or(0.0);
                for _ in 0..rounds {
                    baseline.write(burst).await?;
                    plain.expect(burst).await?;
                }
                let spent = machine::cpu_s(baseline.pid()).unwrap_or(0.0) - before;
                costs[2 * at].push(each_us(spent, messages));
                let before = machine::cpu_s(server.pid()).unwrap_or(0.0);
                for _ in 0..rounds {
                    self.application
                        .publish_many(INSTANCE, &event, burst)
                        .await?;
                    hearing.expect(burst).await?;
                }
                let spent = machine::cpu_s(server.pid()).unwrap_or(0.0) - before;
                costs[2 * at + 1].push(each_us(spent, messages));
            }
        }
        hearing.leave().await?;
        plain.leave().await?;
        baseline.leave().await?;
        server.stop().await?;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred bytes")]
        report.figure("a frame", bytes as f64, "bytes");
        for (at, name) in ["one event at a time", "bursts of 50"]
            .into_iter()
            .enumerate()
        {
            let name = format!("{count} subscribers, {name}");
            let (least, ours) = (median(&costs[2 * at]), median(&costs[2 * at + 1]));
            report.figure(format!("{name}: CPU of the loop"), least, "us each");
            report.figure(format!("{name}: CPU of the sidecar"), ours, "us each");
            report.ratio(
                format!("{name}: sidecar / loop, CPU"),
                ours / least,
                Some(Target::AtMost(RATIO_MAX)),
            );
        }
        Ok(())
    }

    /// A steady rate to a few subscribers: how late they hear, and what it does to those who commit.
    async fn rate(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let (rate, few) = (self.sizes.rate, self.sizes.few);
        let (mut alone, mut followed) = (Commits::default(), Commits::default());
        let mut late: [Vec<f64>; 3] = Default::default();
        for _ in 0..self.sizes.rounds {
            alone.push(&self.emit().await?);
            let server = self.sidecar(0).await?;
            let mut hearing = self.audience(&server, few, true).await?;
            let committed = self.emit().await?;
            hearing.expect(committed.len() as u64).await?;
            followed.push(&committed);
            let taken = hearing.latencies_ms().await?;
            for (all, one) in late.iter_mut().zip(taken) {
                all.push(one);
            }
            hearing.leave().await?;
            server.stop().await?;
        }
        let name = format!("{rate} events/s to {few}");
        for (share, values) in ["p50", "p95", "p99"].into_iter().zip(&late) {
            let name = format!("{name}, statement sent to socket read, {share}");
            report.figure(name, median(values), "ms");
        }
        for (name, commits) in [("alone", &alone), ("followed", &followed)] {
            report.figure(
                format!("the commits, {name}, p50"),
                median(&commits.p50_ms),
                "ms",
            );
            report.figure(
                format!("the commits, {name}, p99"),
                median(&commits.p99_ms),
                "ms",
            );
        }
        let [p50, _, p99] = late;
        report.ratio(
            format!("{name}: p50, ms"),
            median(&p50),
            Some(Target::AtMost(P50_MAX_MS)),
        );
        report.ratio(
            format!("{name}: p99, ms"),
            median(&p99),
            Some(Target::AtMost(P99_MAX_MS)),
        );
        report.ratio(
            "the commits' p50, followed / alone",
            median(&followed.p50_ms) / median(&alone.p50_ms),
            Some(Target::AtMost(COMMIT_RATIO_MAX)),
        );
        Ok(())
    }

    /// Emits at a steady rate; how long each statement took, in milliseconds.
    async fn emit(&self) -> anyhow::Result<Vec<f64>> {
        let (rate, seconds) = (self.sizes.rate, self.sizes.seconds);
        let start = Instant::now() + Duration::from_millis(200);
        let mut emitting = JoinSet::new();
        for writer in 0..WRITERS {
            let mut application = Application::connect(&self.stage.options).await?;
            emitting.spawn(async move {
                let mut took = Vec::new();
                for number in (writer..rate * seconds).step_by(usize::try_from(WRITERS)?) {
                    let due = Duration::from_secs(number) / u32::try_from(rate)?;
                    sleep_until(start + due).await;
                    let began = Instant::now();
                    let event = payload(microseconds(), EVENT_BYTES);
                    application.publish(INSTANCE, &event).await?;
                    took.push(began.elapsed().as_secs_f64() * 1e3);
                }
                application.close().await?;
                anyhow::Ok(took)
            });
        }
        let mut all = Vec::new();
        while let Some(ended) = emitting.join_next().await {
            all.extend(ended??);
        }
        Ok(all)
    }

    /// What a connection weighs that hears nothing.
    async fn idle(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let count = self.sizes.idle;
        let server = self.sidecar(0).await?;
        // The first hundred pay for what all share.
        let first = self.audience(&server, count.min(100), false).await?;
        sleep(Duration::from_secs(1)).await;
        let before = machine::resident_bytes(server.pid()).unwrap_or(0);
        let rest = self.audience(&server, count, false).await?;
        sleep(Duration::from_secs(1)).await;
        let after = machine::resident_bytes(server.pid()).unwrap_or(0);
        first.leave().await?;
        rest.leave().await?;
        server.stop().await?;
        #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
        let each = after.saturating_sub(before) as f64 / count as f64 / 1024.0;
        report.ratio(
            format!("{count} idle connections: resident memory of each, KB"),
            each,
            Some(Target::AtMost(CONNECTION_KB_MAX)),
        );
        Ok(())
    }

    /// A server that is killed and started again: until all are back, with what they missed.
    async fn back(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let count = self.sizes.back;
        let server = self.sidecar(0).await?;
        let port = server.address.port();
        let mut hearing = self.audience(&server, count, false).await?;
        let event = payload(microseconds(), EVENT_BYTES);
        self.application.publish(INSTANCE, &event).await?;
        hearing.expect(1).await?;
        server.kill().await?;
        hearing.gone().await?;
        self.application.publish_many(INSTANCE, &event, 3).await?;
        let before = self.stage.database.bench_transactions().await?;
        let start = Instant::now();
        let server = self.sidecar(port).await?;
        let listens = start.elapsed();
        hearing.connected().await?;
        let connected = start.elapsed();
        hearing.expect(3).await?;
        let took = start.elapsed();
        // Sessions report what they did only now and then.
        sleep(Duration::from_secs(2)).await;
        let asked = self.stage.database.bench_transactions().await? - before;
        let cpu_s = machine::cpu_s(server.pid()).unwrap_or(0.0);
        hearing.leave().await?;
        server.stop().await?;
        for (name, moment) in [("listens", listens), ("all are connected", connected)] {
            let name = format!("{count} clients after a restart: until it {name}");
            report.figure(name, moment.as_secs_f64(), "s");
        }
        report.figure(
            format!("{count} clients after a restart: CPU of the sidecar"),
            cpu_s,
            "s",
        );
        report.ratio(
            format!("{count} clients after a restart: until all have what they missed, s"),
            took.as_secs_f64(),
            Some(Target::AtMost(BACK_MAX_S)),
        );
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        report.ratio(
            "transactions of the database for each of them",
            asked as f64 / count as f64,
            Some(Target::AtMost(0.1)),
        );
        Ok(())
    }
}

/// What committing cost, by round, in milliseconds.
#[derive(Debug, Default)]
struct Commits {
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

impl Commits {
    fn push(&mut self, took_ms: &[f64]) {
        self.p50_ms.push(quantile(took_ms, 0.5));
        self.p99_ms.push(quantile(took_ms, 0.99));
    }
}

/// Microseconds of each.
fn each_us(spent_s: f64, messages: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    let messages = messages as f64;
    spent_s / messages * 1e6
}
