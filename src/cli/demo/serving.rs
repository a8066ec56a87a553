//! After the story: a steady trickle, and a line that says how it goes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::compare::Moment;
use super::fixtures;
use super::report::{milliseconds, number, percentile};
use super::story::Story;

/// Between two messages.
const EVERY: Duration = Duration::from_millis(500);
/// Between two lines, where they are written over one another and where they are not.
const LINE_EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// How many latencies the figures are of.
const LATENCIES: usize = 200;

/// Goes on committing a message now and then, until it is dropped.
pub(super) async fn serve(story: &mut Story) -> anyhow::Result<()> {
    story.report.heading(
        "Serving on, with two messages a second. Look around with psql and curl; Ctrl-C ends it.",
    )?;
    let [terminal, file] = LINE_EVERY;
    let line_every = if story.report.is_terminal() {
        terminal
    } else {
        file
    };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut latencies = VecDeque::with_capacity(LATENCIES);
    let mut told_at: Option<Instant> = None;
    for message in 1.. {
        ticks.tick().await;
        let act = story.commit(&fixtures::trickle(message)).await?;
        latencies.extend(story.latencies(&act).await);
        let old = latencies.len().saturating_sub(LATENCIES);
        latencies.drain(..old);
        if told_at.is_none_or(|at| at.elapsed() >= line_every) {
            told_at = Some(Instant::now());
            progress(story, &latencies).await?;
        }
    }
    Ok(())
}

/// The line. It fits a terminal of 80 columns, for one that wraps cannot be written over.
async fn progress(story: &mut Story, latencies: &VecDeque<Duration>) -> anyhow::Result<()> {
    let mut sorted: Vec<_> = latencies.iter().copied().collect();
    sorted.sort_unstable();
    let depth = story.stage.depth().await?;
    story.report.progress(&format!(
        "  {} accepted; {} pending, {} failed; 2xx after p50 {}, p99 {}",
        number(story.receiver.accepted()),
        depth.pending,
        depth.failed,
        milliseconds(percentile(&sorted, 0.5)),
        milliseconds(percentile(&sorted, 0.99))
    ))?;
    Ok(())
}

/// The last words: nobody delivers any more, and what was delivered is compared once more.
pub(super) async fn farewell(story: &mut Story) -> anyhow::Result<bool> {
    story
        .report
        .heading("Stopped. Everything since the start:")?;
    story.agree(Moment::Stopped).await
}
