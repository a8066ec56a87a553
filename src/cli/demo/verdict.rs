//! The end of the story: is the queue at rest, and are the two sides the same?

use std::fmt::Write as _;

use tokio::time::{Instant, sleep};

use super::act::{LOOK, PATIENCE};
use super::compare::{Comparison, Difference, Moment, compare};
use super::report::{Look, counted, number};
use super::story::Story;

/// How many differences are listed.
const LISTED_MAX: usize = 20;

impl Story {
    /// Whether what was committed and what the receiver saw are the same, once nothing is pending.
    pub(super) async fn verdict(&mut self) -> anyhow::Result<bool> {
        self.report
            .heading("5  What was committed, and what the receiver saw")?;
        let deadline = Instant::now() + PATIENCE;
        while self.stage.pending().await? > 0 && Instant::now() < deadline {
            sleep(LOOK).await;
        }
        let mut depth = self.stage.depth().await?;
        while !depth.is_current && Instant::now() < deadline {
            sleep(LOOK * 10).await;
            depth = self.stage.depth().await?;
        }
        self.report
            .line(&format!("  queue_stats  {}", depth.told()))?;
        self.agree(Moment::Settled).await
    }

    /// Compares, and says what came of it.
    pub(super) async fn agree(&mut self, moment: Moment) -> anyhow::Result<bool> {
        let owed = self.stage.owed().await?;
        let mut comparison = compare(&owed, &self.receiver.arrivals(), moment);
        let rows = self.stage.rows_without_event().await?;
        let no_events = rows.into_iter().map(Difference::no_event);
        comparison.differences.extend(no_events);
        self.tell_comparison(&comparison)?;
        if comparison.differences.is_empty() {
            let same = if comparison.waiting > 0 {
                "No difference so far; what is pending would have been delivered."
            } else {
                "The same: every delivery, every body byte for byte, every signature."
            };
            let same = self.report.looking(Look::Good, same);
            self.report.line(&format!("  {same}"))?;
            return Ok(true);
        }
        let count = counted(comparison.differences.len(), "difference");
        let count = self.report.looking(Look::Bad, &count);
        self.report.line(&format!("  {count}:"))?;
        for difference in comparison.differences.iter().take(LISTED_MAX) {
            self.report.line(&format!("    {difference}"))?;
        }
        let more = comparison.differences.len().saturating_sub(LISTED_MAX);
        if more > 0 {
            self.report
                .line(&format!("    and {} more", number(more)))?;
        }
        Ok(false)
    }

    /// The figures of both sides.
    fn tell_comparison(&mut self, comparison: &Comparison) -> anyhow::Result<()> {
        self.report.line(&format!(
            "  committed    {}",
            counted(comparison.owed, "delivery")
        ))?;
        let mut received = format!(
            "  received     {}, {} twice, {} refused",
            counted(comparison.received, "delivery"),
            number(comparison.again),
            counted(comparison.refused, "attempt")
        );
        for (count, what) in [
            (comparison.waiting, "still pending"),
            (comparison.dead, "in the dead letters"),
        ] {
            if count > 0 {
                let _ = write!(received, "; {} {what}", number(count));
            }
        }
        self.report.line(&received)?;
        Ok(())
    }
}
