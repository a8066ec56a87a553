//! What healthy endpoints notice of others: alone, beside one with a million rows first in line, and beside a hundred that
//! accept and never answer.
//!
//! What is compared is the worst healthy endpoint's own 95th percentile, from sending the statement that emits to the
//! receiver's 2xx; at least one healthy endpoint is in the flooded one's lane.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::How;
use super::report::{Report, Target, median, quantile};
use super::sink::{self, Answer};
use super::stage::Stage;
use super::worker::WorkerProcess;
use crate::db::bench::{ATTEMPTS_MAX, Application, Fill, number_in};

/// The size of each payload.
const PAYLOAD_BYTES: usize = 512;
/// Connections that emit.
const CONNECTIONS: usize = 8;
/// From the start of the worker to the first measured event.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long stragglers are waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// Each silent endpoint has so many rows queued.
const SILENT_ROWS: i64 = 1_000;
/// How much worse it may get: by this factor, or by so many milliseconds.
const FACTOR_MAX: f64 = 1.5;
const ADDED_MAX_MS: f64 = 20.0;

/// Arguments of `bench neighbour`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Healthy endpoints
    #[arg(long, default_value_t = 199, value_name = "N")]
    healthy: usize,
    /// Events a second for each of them
    #[arg(long, default_value_t = 5, value_name = "N")]
    rate: u32,
    /// How long each part is measured
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    seconds: u32,
    /// Rows of the flooded endpoint
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    flood: i64,
    /// Endpoints that never answer
    #[arg(long, default_value_t = 100, value_name = "N")]
    silent: usize,
}

/// Everybody.
struct Play<'a> {
    stage: &'a Stage,
    healthy: Vec<String>,
    flooded: i64,
    silent: Vec<i64>,
    /// How many healthy endpoints are in the flooded one's lane.
    lane_mates: usize,
    rate: u32,
    seconds: u32,
}

/// When each event was heard.
type Heard = mpsc::UnboundedReceiver<(u64, Instant)>;

/// What one part showed, in milliseconds.
struct Seen {
    worst_p95: f64,
    typical_p95: f64,
    /// Of the commits themselves.
    commit_p95: f64,
    lost: usize,
}

/// Measures.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let (flood, seconds) = if how.quick {
        (2_000, 2)
    } else {
        (arguments.flood, arguments.seconds)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let mut serving = JoinSet::new();
    serving.spawn(sink::serve(listener, move |received| {
        if received.path.starts_with("/silent") {
            return Answer::Never;
        }
        if received.path.starts_with("/healthy")
            && let Some(number) = number_in(received.body)
        {
            // The benchmark stops listening only at its end.
            let _ = sender.send((number, Instant::now()));
        }
        Answer::Yes
    }));
    let mut play = cast(stage, address, arguments).await?;
    play.seconds = seconds;
    let alone = play.part(&mut heard, &[]).await?;
    let beside_flood = play.part(&mut heard, &[(&[play.flooded], flood)]).await?;
    let rows = SILENT_ROWS * i64::try_from(play.silent.len())?;
    let beside_silent = play.part(&mut heard, &[(&play.silent, rows)]).await?;
    let mut report = stage.report("neighbour").await?;
    tell(
        &mut report,
        play.lane_mates,
        [&alone, &beside_flood, &beside_silent],
    );
    Ok(report)
}

/// Makes the endpoints, at least one healthy one in the flooded one's lane.
async fn cast<'a>(
    stage: &'a Stage,
    address: SocketAddr,
    arguments: &Arguments,
) -> anyhow::Result<Play<'a>> {
    let secret = stage.secret.text().expose_secret();
    let database = &stage.database;
    let url = |path: &str, number: usize| format!("http://{address}/{path}/{number}");
    let (flooded, lane) = database
        .bench_tenant("flooded", &url("flooded", 0), secret)
        .await?;
    let (mut healthy, mut lane_mates) = (Vec::new(), 0);
    // Of 64 lanes one is met soon; strangers that are one too many are left aside.
    for number in 0.. {
        let name = format!("healthy-{number}");
        let (_, own) = database
            .bench_tenant(&name, &url("healthy", number), secret)
            .await?;
        if healthy.len() + 1 < arguments.healthy || own == lane || lane_mates > 0 {
            healthy.push(name);
            lane_mates += usize::from(own == lane);
        }
        if healthy.len() >= arguments.healthy {
            break;
        }
    }
    let mut silent = Vec::new();
    for number in 0..arguments.silent {
        let name = format!("silent-{number}");
        let url = url("silent", number);
        silent.push(database.bench_tenant(&name, &url, secret).await?.0);
    }
    Ok(Play {
        stage,
        healthy,
        flooded,
        silent,
        lane_mates,
        rate: arguments.rate,
        seconds: arguments.seconds,
    })
}

impl Play<'_> {
    /// One part: these rows first in line, then a worker, then events.
    async fn part(&self, heard: &mut Heard, before: &[(&[i64], i64)]) -> anyhow::Result<Seen> {
        let database = &self.stage.database;
        database.bench_empty().await?;
        for (endpoints, rows) in before {
            database
                .bench_fill(&Fill {
                    endpoints,
                    rows: *rows,
                    payload_bytes: PAYLOAD_BYTES,
                    due_in_s: -3600.0,
                    attempts_max: ATTEMPTS_MAX,
                })
                .await?;
        }
        database.bench_settle().await?;
        let worker = WorkerProcess::start(self.stage, &[])?;
        while heard.try_recv().is_ok() {}
        let (sent, commit_p95) = self.emit().await?;
        let mut seen = self.collect(heard, sent).await;
        seen.commit_p95 = commit_p95;
        worker.stop().await?;
        Ok(seen)
    }

    /// Emits for everybody, each at a steady rate and at moments of its own; answers with who sent what when, and the 95th percentile of
    /// the commits.
    async fn emit(&self) -> anyhow::Result<(HashMap<u64, (usize, Instant)>, f64)> {
        let mut emitting = JoinSet::new();
        let start = Instant::now() + WARM_UP / 2;
        let measured = start + WARM_UP / 2;
        let interval = Duration::from_secs(1) / self.rate;
        let rounds = self.rate * (self.seconds + 2);
        // Numbers of this part only: a straggler of the one before is nobody's.
        let first = u64::from(rand::random::<u16>()) * 10_000_000;
        for connection in 0..CONNECTIONS {
            let mut application = Application::connect(&self.stage.options).await?;
            let mut mine: Vec<(usize, String, Duration)> = (0..self.healthy.len())
                .filter(|number| number % CONNECTIONS == connection)
                .map(|number| {
                    let phase = interval.mul_f64(rand::random_range(0.0..1.0));
                    (number, self.healthy[number].clone(), phase)
                })
                .collect();
            mine.sort_by_key(|(_, _, phase)| *phase);
            emitting.spawn(async move {
                let (mut sent, mut commits) = (Vec::new(), Vec::new());
                for round in 0..rounds {
                    for (number, name, phase) in &mine {
                        sleep_until(start + interval * round + *phase).await;
                        let event = first + u64::from(round) * 10_000 + *number as u64;
                        application.emit(name, event, PAYLOAD_BYTES).await?;
                        let at = Instant::now();
                        application.commit().await?;
                        if at >= measured {
                            sent.push((event, (*number, at)));
                            commits.push(at.elapsed().as_secs_f64() * 1e3);
                        }
                    }
                }
                application.close().await?;
                anyhow::Ok((sent, commits))
            });
        }
        let (mut sent, mut commits) = (HashMap::new(), Vec::new());
        while let Some(ended) = emitting.join_next().await {
            let (events, times) = ended??;
            sent.extend(events);
            commits.extend(times);
        }
        Ok((sent, quantile(&commits, 0.95)))
    }

    /// Waits for what was sent, and takes each endpoint's 95th percentile.
    async fn collect(&self, heard: &mut Heard, mut sent: HashMap<u64, (usize, Instant)>) -> Seen {
        let mut latencies: Vec<Vec<f64>> = vec![Vec::new(); self.healthy.len()];
        while !sent.is_empty() {
            let Ok(Some((event, at))) = timeout(PATIENCE, heard.recv()).await else {
                break;
            };
            if let Some((number, since)) = sent.remove(&event) {
                latencies[number].push((at - since).as_secs_f64() * 1e3);
            }
        }
        let lost = sent.len();
        for (number, since) in sent.into_values() {
            latencies[number].push(since.elapsed().as_secs_f64() * 1e3);
        }
        let each: Vec<f64> = latencies.iter().map(|own| quantile(own, 0.95)).collect();
        Seen {
            worst_p95: quantile(&each, 1.0),
            typical_p95: median(&each),
            commit_p95: 0.0,
            lost,
        }
    }
}

/// Figures and ratios.
fn tell(report: &mut Report, lane_mates: usize, parts: [&Seen; 3]) {
    #[expect(clippy::cast_precision_loss, reason = "a few endpoints")]
    report.figure(
        "healthy endpoints in the flooded one's lane",
        lane_mates as f64,
        "",
    );
    let names = [
        "alone",
        "beside a flooded endpoint",
        "beside silent endpoints",
    ];
    for (name, seen) in names.into_iter().zip(parts) {
        report.figure(
            format!("{name}: the worst endpoint's p95"),
            seen.worst_p95,
            "ms",
        );
        report.figure(
            format!("{name}: the typical endpoint's p95"),
            seen.typical_p95,
            "ms",
        );
        report.figure(format!("{name}: the commits' p95"), seen.commit_p95, "ms");
        #[expect(clippy::cast_precision_loss, reason = "a few events")]
        report.figure(
            format!("{name}: not delivered in time"),
            seen.lost as f64,
            "events",
        );
    }
    let alone = parts[0].worst_p95;
    let bound = FACTOR_MAX.max((alone + ADDED_MAX_MS) / alone);
    for (name, seen) in names.into_iter().zip(parts).skip(1) {
        report.ratio(
            format!("worst p95 {name} / alone (1.5, or 20 ms more)"),
            seen.worst_p95 / alone,
            Some(Target::AtMost(bound)),
        );
    }
}
