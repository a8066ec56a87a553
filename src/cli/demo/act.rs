//! One act of the story: a statement, what it wrote, and when that arrived.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::report::{counted, milliseconds, number, percentile};
use super::story::Story;
use crate::db::demo::{Address, Mark};

/// How long anything may take before the story goes on without it; the comparison at the end misses it then.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(3);
/// So few deliveries are told one by one.
const FEW: usize = 4;

/// What a statement came to.
#[derive(Debug)]
pub(super) struct Act {
    /// Rows it wrote, or answered with.
    rows: u64,
    /// Events in the log since.
    events: usize,
    /// Deliveries in the queue since.
    pub(super) deliveries: Vec<Address>,
    /// Just before COMMIT was sent.
    pub(super) sent_at: Instant,
}

impl Act {
    /// `1 row -> 1 event -> 2 deliveries`.
    pub(super) fn told(&self) -> String {
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        format!(
            "{} -> {} -> {}",
            counted(rows, "row"),
            counted(self.events, "event"),
            counted(self.deliveries.len(), "delivery")
        )
    }
}

impl Story {
    /// Shows a statement, runs it, and shows what became of it.
    pub(super) async fn act(&mut self, statement: &str) -> anyhow::Result<()> {
        self.report.statement(statement)?;
        let act = self.commit(statement).await?;
        self.tell_of(&act).await
    }

    /// The same for a statement whose events another process makes.
    pub(super) async fn act_by_way_of_ingest(&mut self, statement: &str) -> anyhow::Result<()> {
        self.report.statement(statement)?;
        let mark = self.stage.mark().await?;
        let mut act = self.commit(statement).await?;
        let deadline = Instant::now() + PATIENCE;
        while act.events == 0 && Instant::now() < deadline {
            sleep(LOOK).await;
            (act.events, act.deliveries) = self.written(mark).await?;
        }
        self.tell_of(&act).await
    }

    /// Runs a statement and reads what it wrote.
    pub(super) async fn commit(&self, statement: &str) -> anyhow::Result<Act> {
        let mark = self.stage.mark().await?;
        let committed = self.stage.commit(statement).await?;
        let (events, deliveries) = self.written(mark).await?;
        Ok(Act {
            rows: committed.rows,
            events,
            deliveries,
            sent_at: committed.sent_at,
        })
    }

    /// Events and deliveries since a mark. Read events first: whoever writes them writes their deliveries with them.
    pub(super) async fn written(&self, mark: Mark) -> anyhow::Result<(usize, Vec<Address>)> {
        let events = usize::try_from(self.stage.events_since(mark).await?)?;
        Ok((events, self.stage.queued_since(mark).await?))
    }

    /// Waits for an act's deliveries, and answers with how long each took from COMMIT, sorted.
    pub(super) async fn latencies(&self, act: &Act) -> Vec<Duration> {
        let deadline = Instant::now() + PATIENCE;
        let mut missing: Vec<&Address> = act.deliveries.iter().collect();
        let mut latencies = Vec::with_capacity(missing.len());
        loop {
            missing.retain(|address| match self.receiver.accepted_at(address) {
                Some(at) => {
                    latencies.push(at.saturating_duration_since(act.sent_at));
                    false
                }
                None => true,
            });
            if missing.is_empty() || Instant::now() > deadline {
                latencies.sort_unstable();
                return latencies;
            }
            sleep(LOOK).await;
        }
    }

    /// Waits for the receiver, for a while.
    pub(super) async fn until(&self, has_happened: impl Fn(&Story) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !has_happened(self) && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    /// Says what an act came to.
    async fn tell_of(&mut self, act: &Act) -> anyhow::Result<()> {
        let latencies = self.latencies(act).await;
        let arrived = said(&latencies, act.deliveries.len());
        self.report.outcome(&format!("{}; {arrived}", act.told()))?;
        Ok(())
    }
}

/// Latencies in words: each of a few, the middle and the worst of many.
fn said(sorted: &[Duration], expected: usize) -> String {
    let lost = if sorted.len() < expected {
        format!(" ({} have not arrived)", number(expected - sorted.len()))
    } else {
        String::new()
    };
    let times = match sorted {
        [] => "nothing to deliver".to_owned(),
        few if few.len() <= FEW => {
            let few: Vec<_> = few.iter().copied().map(milliseconds).collect();
            format!("COMMIT to 2xx {}", few.join(", "))
        }
        many => format!(
            "COMMIT to 2xx p50 {}, all within {}",
            milliseconds(percentile(many, 0.5)),
            milliseconds(percentile(many, 1.0))
        ),
    };
    format!("{times}{lost}")
}
