//! A long queue, several workers, and workers that are killed: whether every delivery arrives, and how often.
//!
//! The receiver keeps a tally of what it is sent, by number. It refuses some deliveries once and some always, so retries and dead
//! letters are part of it. In the end its tally, the queue, the attempt log and the depth must agree, to the row.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, value_parser};
use tokio::time::{Instant, sleep};

use super::How;
use super::report::{Report, Target};
use super::sink::SinkProcess;
use super::stage::Stage;
use super::tally::{DIES_EVERY, Verdict};
use super::worker::WorkerProcess;
use crate::db::bench::{Fill, Outcome};

/// How often to look how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Attempts at each delivery: the last one six seconds after the first.
const ATTEMPTS_MAX: u32 = 3;
/// What a killed worker held is taken over after so long; by default it is 90 s.
const LEASE_S: &str = "15";
/// What a worker may hold in memory.
const RESIDENT_MAX_MB: f64 = 150.0;

/// Arguments of `bench soak`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Deliveries queued before the workers start; ten million take some 20 GB of disk
    #[arg(long, default_value_t = 10_000_000, value_name = "N")]
    deliveries: u32,
    /// The size of each payload
    #[arg(long, default_value_t = 512, value_name = "BYTES")]
    payload: usize,
    /// Endpoints they are spread over
    #[arg(long, default_value_t = 100, value_name = "N")]
    endpoints: usize,
    /// Workers
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    workers: u32,
    /// How often one of them is killed, in turn, and another one started; over ten expired leases a row would be buried
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = value_parser!(u32).range(0..10))]
    kills: u32,
}

/// What was seen on the way.
#[derive(Debug, Default)]
struct Course {
    /// Seconds since the start, and requests by then.
    points: Vec<(f64, u64)>,
    /// Leases that expired over a delivery: its worker was killed, or stood still.
    expired: u64,
    /// The most memory that a worker had.
    resident_max_bytes: u64,
}

/// Runs it. What does not add up in the end is an error.
pub(super) async fn run(stage: &Stage, how: How, arguments: &Arguments) -> anyhow::Result<Report> {
    let (deliveries, kills) = if how.quick {
        (20_000, 2)
    } else {
        (arguments.deliveries, arguments.kills)
    };
    let mut sink = SinkProcess::with_tally(deliveries.into()).await?;
    let endpoints = stage.endpoints(sink.address, arguments.endpoints).await?;
    let fill = Fill {
        endpoints: &endpoints,
        rows: deliveries.into(),
        payload_bytes: arguments.payload,
        due_in_s: 0.0,
        attempts_max: ATTEMPTS_MAX.cast_signed(),
    };
    stage.database.bench_fill(&fill).await?;
    stage.database.bench_settle().await?;

    let course = drain(
        stage,
        &mut sink,
        deliveries.into(),
        kills,
        arguments.workers,
    )
    .await?;
    let seen = sink.verdict().await?;
    let outcome = stage
        .database
        .bench_outcome(DIES_EVERY.cast_signed())
        .await?;
    judge(deliveries.into(), &course, &seen, &outcome)?;
    let mut report = stage.report("soak").await?;
    tell(&mut report, &course, &seen, &outcome);
    Ok(report)
}

/// From a full queue to an empty one.
async fn drain(
    stage: &Stage,
    sink: &mut SinkProcess,
    deliveries: u64,
    kills: u32,
    count: u32,
) -> anyhow::Result<Course> {
    let settings = [
        ("POSTRIDER_WORKER__LEASE_S", LEASE_S),
        // They would warn of every endpoint that refuses something.
        ("POSTRIDER_LOG__LEVEL", "error"),
    ];
    let start_one = || WorkerProcess::start(stage, &settings);
    let mut workers = (0..count)
        .map(|_| start_one())
        .collect::<Result<Vec<_>, _>>()?;
    let mut course = Course::default();
    let start = Instant::now();
    let mut killed = 0;
    loop {
        for worker in &mut workers {
            worker.check()?;
            course.resident_max_bytes = course.resident_max_bytes.max(worker.resident_max_bytes());
        }
        let requests = sink.requests().await?;
        course
            .points
            .push((start.elapsed().as_secs_f64(), requests));
        if killed < kills && requests >= deliveries * u64::from(killed + 1) / u64::from(kills + 1) {
            let victim = workers.remove(0);
            course.expired += victim.expiries().await.unwrap_or(0);
            victim.kill().await?;
            workers.push(start_one()?);
            killed += 1;
        }
        if requests >= deliveries && !stage.database.bench_any_pending().await? {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    for worker in workers {
        let expired = worker.expiries().await;
        course.expired += expired.context("a worker does not tell its metrics")?;
        worker.stop().await?;
    }
    Ok(course)
}

/// Fails where the receiver, the queue, the attempt log and the depth do not agree.
fn judge(
    deliveries: u64,
    course: &Course,
    seen: &Verdict,
    outcome: &Outcome,
) -> anyhow::Result<()> {
    let scripted = (deliveries / DIES_EVERY).cast_signed();
    // Each repetition is that of a lease that expired, or of an attempt of which the worker heard no answer.
    let repeated_max = course.expired + outcome.unscripted.cast_unsigned();
    // A machine that stands still may let all attempts at one time out.
    let dead_max = scripted + outcome.unscripted / i64::from(ATTEMPTS_MAX);
    let is_sound = seen.unknown == 0
        && seen.again <= repeated_max
        && outcome.pending == 0
        && outcome.leased == 0
        && outcome.survived == 0
        && (scripted..=dead_max).contains(&outcome.failed)
        && seen.missing.cast_signed() <= outcome.failed - scripted
        && outcome.delivered + outcome.failed == deliveries.cast_signed()
        && outcome.logged == outcome.delivered
        && outcome.depth_error == 0;
    anyhow::ensure!(
        is_sound,
        "it does not add up: {deliveries} queued, {scripted} of them to die, at most {repeated_max} explained repetitions; {seen:?}; {outcome:?}"
    );
    Ok(())
}

/// Figures.
fn tell(report: &mut Report, course: &Course, seen: &Verdict, outcome: &Outcome) {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = |value: i64| value as f64;
    let rate = |from: usize, to: usize| {
        let ((start_s, before), (end_s, after)) = (course.points[from], course.points[to]);
        // A small run may have no more than one point there.
        count((after - before).cast_signed()) / (end_s - start_s).max(LOOK_EVERY.as_secs_f64())
    };
    let last = course.points.len() - 1;
    let reached = |tenths: u64| {
        let bound = course.points[last].1 * tenths / 10;
        course
            .points
            .iter()
            .position(|(_, requests)| *requests >= bound)
            .unwrap_or(last)
    };
    report.figure("delivered", count(outcome.delivered), "");
    report.figure("dead letters, as scripted", count(outcome.failed), "");
    report.figure("refused", count(seen.refused.cast_signed()), "");
    report.figure("lost", count(seen.missing.cast_signed()), "");
    report.figure(
        "leases that expired",
        count(course.expired.cast_signed()),
        "",
    );
    report.figure(
        "failed attempts that nobody scripted",
        count(outcome.unscripted),
        "",
    );
    report.figure("came again", count(seen.again.cast_signed()), "");
    // From the second tenth on: workers have started by then. The last one waits for leases and retries.
    report.figure("second tenth", rate(reached(1), reached(2)), "/s");
    report.figure("ninth tenth", rate(reached(8), reached(9)), "/s");
    report.ratio(
        "second tenth / ninth tenth",
        rate(reached(1), reached(2)) / rate(reached(8), reached(9)),
        None,
    );
    #[expect(clippy::cast_precision_loss, reason = "a size")]
    let resident_mb = course.resident_max_bytes as f64 / 1e6;
    report.ratio(
        "a worker's resident memory at most, MB",
        resident_mb,
        Some(Target::AtMost(RESIDENT_MAX_MB)),
    );
}

#[cfg(test)]
mod tests {
    use super::{Course, Outcome, Verdict, judge};

    /// How a run of 20,000 ends over which three leases expired, after these changes.
    fn judged(change: impl FnOnce(&mut Verdict, &mut Outcome)) -> bool {
        let course = Course {
            expired: 3,
            ..Course::default()
        };
        let mut seen = Verdict {
            missing: 0,
            again: 3,
            unknown: 0,
            refused: 201,
        };
        let mut outcome = Outcome {
            pending: 0,
            leased: 0,
            delivered: 19_999,
            failed: 1,
            survived: 0,
            logged: 19_999,
            unscripted: 0,
            depth_error: 0,
        };
        change(&mut seen, &mut outcome);
        judge(20_000, &course, &seen, &outcome).is_ok()
    }

    #[test]
    fn whatever_does_not_add_up_fails_the_run() {
        assert!(judged(|_, _| {}));
        assert!(!judged(|seen, _| seen.again = 4));
        assert!(!judged(|seen, _| seen.missing = 1));
        assert!(!judged(|seen, _| seen.unknown = 1));
        assert!(!judged(|_, outcome| outcome.pending = 1));
        assert!(!judged(|_, outcome| outcome.leased = 1));
        assert!(!judged(|_, outcome| outcome.delivered -= 1));
        assert!(!judged(|_, outcome| {
            (outcome.failed, outcome.delivered, outcome.logged) = (2, 19_998, 19_998);
        }));
        assert!(!judged(|_, outcome| outcome.survived = 1));
        assert!(!judged(|_, outcome| outcome.logged -= 1));
        assert!(!judged(|_, outcome| outcome.depth_error = 1));
    }

    #[test]
    fn what_timed_out_explains_repetitions_and_three_times_a_dead_letter() {
        assert!(judged(
            |seen, outcome| (seen.again, outcome.unscripted) = (4, 1)
        ));
        let dead = |unscripted, missing| {
            judged(|seen, outcome| {
                seen.missing = missing;
                (outcome.failed, outcome.delivered, outcome.logged) = (2, 19_998, 19_998);
                outcome.unscripted = unscripted;
            })
        };
        assert!(dead(3, 0));
        assert!(dead(3, 1));
        assert!(!dead(2, 0));
        assert!(!dead(3, 2));
    }
}
