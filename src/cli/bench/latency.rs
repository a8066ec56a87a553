//! How long from sending COMMIT to the receiver's 2xx.
//!
//! Against one NOTIFY round trip (from sending the COMMIT of a transaction that writes a row and notifies to hearing of it) and
//! one POST on a warm connection, taken in turn with it: less than these nobody can do who is woken by Postgres and calls by HTTP. Both ends are in this process, so that they share a clock; the worker is not.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::How;
use super::client::Poster;
use super::report::{Report, Target, median, quantile};
use super::sink::{self, Answer};
use super::stage::Stage;
use super::worker::WorkerProcess;
use crate::db::bench::{Application, Ear, INSTANCE, number_in};

/// The size of each payload.
const PAYLOAD_BYTES: usize = 512;
/// Between two idle events: longer than a listener stays awake.
const IDLE_MS: std::ops::Range<u64> = 400..700;
/// A delivery that takes longer has been lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections that emit under load: a commit may take longer than the time to the next one.
const CONNECTIONS: u64 = 4;
/// The targets: of the idle median, against the baseline; and what load may add to it.
const IDLE_RATIO_MAX: f64 = 2.0;
const LOAD_ADDS_MAX_MS: f64 = 5.0;

/// Arguments of `bench latency`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Events sent one by one while the worker sleeps
    #[arg(long, default_value_t = 100, value_name = "N")]
    idle_events: u64,
    /// Events a second under load
    #[arg(long, default_value_t = 100, value_name = "N")]
    rate: u64,
    /// For how long
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    seconds: u64,
}

/// When each event was heard.
type Heard = mpsc::UnboundedReceiver<(u64, Instant)>;

/// What was measured, in milliseconds.
#[derive(Default)]
struct Seen {
    notify: Vec<f64>,
    post: Vec<f64>,
    idle: Vec<f64>,
    commit: Vec<f64>,
    load: Vec<f64>,
}

/// Measures.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let (idle_events, seconds) = if how.quick {
        (3, 1)
    } else {
        (arguments.idle_events, arguments.seconds)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let mut serving = JoinSet::new();
    serving.spawn(sink::serve(listener, move |received| {
        if let Some(number) = number_in(received.body) {
            // The benchmark stops listening only at its end.
            let _ = sender.send((number, Instant::now()));
        }
        Answer::Yes
    }));
    let poster = Poster::new(stage, address, 1, PAYLOAD_BYTES)?;
    stage.endpoints(address, 1).await?;
    stage.database.bench_tables().await?;
    let worker = WorkerProcess::start(stage, &[])?;

    let mut seen = Seen::default();
    idle(stage, &poster, &mut heard, idle_events, &mut seen).await?;
    load(stage, &mut heard, arguments.rate, seconds, &mut seen).await?;
    worker.stop().await?;
    let mut report = stage.report("latency").await?;
    tell(&mut report, &seen, arguments.rate);
    Ok(report)
}

/// One event at a time, each after the worker went to sleep.
async fn idle(
    stage: &Stage,
    poster: &Poster,
    heard: &mut Heard,
    events: u64,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let mut application = Application::connect(&stage.options).await?;
    let mut ear = Ear::open(&stage.options).await?;
    // The first ones find a worker that is starting, and connections that are cold: they are not counted.
    for number in 0..events + 2 {
        poster.post(1, 1).await?;
        drain(heard);
        application
            .emit(INSTANCE, number + 1, PAYLOAD_BYTES)
            .await?;
        let sent = Instant::now();
        application.commit().await?;
        let committed = sent.elapsed();
        let at = hear(heard, number + 1).await?;
        sleep(Duration::from_millis(rand::random_range(IDLE_MS))).await;

        application.notify().await?;
        let notified = Instant::now();
        application.commit().await?;
        ear.hear().await?;
        let notify = notified.elapsed();
        let begun = Instant::now();
        poster.post(1, 1).await?;
        let post = begun.elapsed();
        if number >= 2 {
            seen.idle.push(milliseconds(at - sent));
            seen.commit.push(milliseconds(committed));
            seen.notify.push(milliseconds(notify));
            seen.post.push(milliseconds(post));
        }
    }
    application.close().await?;
    Ok(())
}

/// Events at a steady rate.
async fn load(
    stage: &Stage,
    heard: &mut Heard,
    rate: u64,
    seconds: u64,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let mut emitting = JoinSet::new();
    let start = Instant::now() + Duration::from_millis(200);
    for connection in 0..CONNECTIONS {
        let mut application = Application::connect(&stage.options).await?;
        emitting.spawn(async move {
            let mut sent = Vec::new();
            for number in (connection..rate * seconds).step_by(usize::try_from(CONNECTIONS)?) {
                tokio::time::sleep_until(
                    start + Duration::from_secs(number) / u32::try_from(rate)?,
                )
                .await;
                let number = 1_000_000 + number;
                application.emit(INSTANCE, number, PAYLOAD_BYTES).await?;
                sent.push((number, Instant::now()));
                application.commit().await?;
            }
            application.close().await?;
            anyhow::Ok(sent)
        });
    }
    let mut sent = HashMap::new();
    while let Some(ended) = emitting.join_next().await {
        sent.extend(ended??);
    }
    let mut left = sent.len();
    while left > 0 {
        let (number, at) = timeout(PATIENCE, heard.recv())
            .await
            .with_context(|| format!("{left} events never came"))?
            .context("the receiver ended")?;
        // A repeated delivery is not measured a second time.
        if let Some(sent) = sent.remove(&number) {
            seen.load.push(milliseconds(at - sent));
            left -= 1;
        }
    }
    Ok(())
}

/// When this event was heard.
async fn hear(heard: &mut Heard, number: u64) -> anyhow::Result<Instant> {
    let listening = async {
        while let Some((got, at)) = heard.recv().await {
            if got == number {
                return Some(at);
            }
        }
        None
    };
    timeout(PATIENCE, listening)
        .await
        .with_context(|| format!("event {number} never came"))?
        .context("the receiver ended")
}

/// Forgets what came, which was ours.
fn drain(heard: &mut Heard) {
    while heard.try_recv().is_ok() {}
}

/// In milliseconds.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Figures and ratios.
fn tell(report: &mut Report, seen: &Seen, rate: u64) {
    let (notify, post) = (median(&seen.notify), median(&seen.post));
    report.figure("one NOTIFY round trip, p50", notify, "ms");
    report.figure("one POST on a warm connection, p50", post, "ms");
    report.figure("the commit alone, p50", median(&seen.commit), "ms");
    for (name, values) in [
        ("idle".to_owned(), &seen.idle),
        (format!("at {rate}/s"), &seen.load),
    ] {
        for (share, label) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
            report.figure(
                format!("{name}, COMMIT to 2xx, {label}"),
                quantile(values, share),
                "ms",
            );
        }
    }
    let idle = median(&seen.idle);
    report.ratio(
        "idle p50 / (NOTIFY + POST)",
        idle / (notify + post),
        Some(Target::AtMost(IDLE_RATIO_MAX)),
    );
    report.ratio(
        format!("p50 at {rate}/s less idle p50, ms"),
        median(&seen.load) - idle,
        Some(Target::AtMost(LOAD_ADDS_MAX_MS)),
    );
}
