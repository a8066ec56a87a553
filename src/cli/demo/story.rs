//! The story: events by every way there is, an endpoint that fails, and whether all of it arrived.

use std::fmt::Write;

use tokio::time::{Instant, sleep};

use super::act::{LOOK, PATIENCE};
use super::fixtures::{self, FAILING, SCHEDULE_NAME, TOLD};
use super::receiver::Receiver;
use super::report::{Look, Report, counted, milliseconds};
use crate::db::demo::{Address, Listed, Row, Stage};

/// What the story is told with.
#[derive(Debug)]
pub(super) struct Story {
    /// The database.
    pub(super) stage: Stage,
    /// The other end.
    pub(super) receiver: Receiver,
    /// Whom it is told.
    pub(super) report: Report,
}

impl Story {
    /// Tells it. Answers whether the receiver saw exactly what was committed.
    pub(super) async fn tell(&mut self) -> anyhow::Result<bool> {
        self.who_wants_to_know().await?;
        self.a_table_as_the_source().await?;
        self.the_application_itself().await?;
        self.an_endpoint_that_fails().await?;
        self.verdict().await
    }

    /// Instances, endpoints, a schedule.
    async fn who_wants_to_know(&mut self) -> anyhow::Result<()> {
        self.report
            .heading("1  Two instances, and who wants to know: postrider.endpoint_list")?;
        self.stage.commit(fixtures::APPLICATION).await?;
        self.stage.commit(fixtures::SCHEDULE).await?;
        let endpoints = fixtures::endpoints(self.receiver.mailboxes(), self.receiver.address);
        self.stage.commit(&endpoints).await?;
        for endpoint in self.stage.endpoints().await? {
            self.report.line(&described(&endpoint))?;
        }
        Ok(())
    }

    /// Rows that become events.
    async fn a_table_as_the_source(&mut self) -> anyhow::Result<()> {
        self.report
            .heading("2  A table as the source: what commits is delivered")?;
        for capture in [fixtures::CAPTURE, fixtures::CAPTURE_WHEN] {
            self.report.statement(capture)?;
            self.stage.commit(capture).await?;
        }
        for statement in [fixtures::INSERT, fixtures::INSERT_MANY, fixtures::UPDATE] {
            self.act(statement).await?;
        }
        self.report
            .statement(&format!("begin; {}; rollback", fixtures::ROLLED_BACK))?;
        let mark = self.stage.mark().await?;
        let rows = self.stage.roll_back(fixtures::ROLLED_BACK).await?;
        let (events, deliveries) = self.written(mark).await?;
        self.report.outcome(&format!(
            "{} -> {} -> {}: what rolls back never was",
            counted(usize::try_from(rows)?, "row"),
            counted(events, "event"),
            counted(deliveries.len(), "delivery")
        ))?;
        Ok(())
    }

    /// Events the application makes itself.
    async fn the_application_itself(&mut self) -> anyhow::Result<()> {
        self.report
            .heading("3  From the application itself, straight into the queue, by NOTIFY")?;
        self.act(fixtures::EMIT).await?;
        self.act(fixtures::EMIT_MANY).await?;
        self.act(&fixtures::direct(self.receiver.address)).await?;
        self.act_by_way_of_ingest(fixtures::NOTIFY).await
    }

    /// Down the backoff table, into the dead letters, and out again.
    async fn an_endpoint_that_fails(&mut self) -> anyhow::Result<()> {
        self.report.heading(&format!(
            "4  {FAILING} is down: the backoff table, the dead letters, the operator's line"
        ))?;
        self.report.statement(fixtures::CALL)?;
        let act = self.commit(fixtures::CALL).await?;
        self.report.outcome(&act.told())?;
        let failing = act
            .deliveries
            .iter()
            .find(|address| address.to == FAILING)
            .ok_or_else(|| anyhow::anyhow!("nothing was queued for {FAILING}"))?;
        self.walk(failing).await?;
        let told = |story: &Story| story.receiver.arrived_since(act.sent_at, TOLD);
        self.until(|story| told(story) > 0).await;
        self.report.outcome(&format!(
            "{TOLD} is told: {} postrider.delivery.exhausted. It repairs the receiver, and says:",
            counted(told(self), "event")
        ))?;
        self.requeue(failing).await
    }

    /// Shows the attempts at a delivery as they are made, until the queue gives up.
    async fn walk(&mut self, failing: &Address) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let waits = self.stage.waits(SCHEDULE_NAME).await?;
        let default = self.stage.waits("default").await?;
        self.report.outcome(&format!(
            "schedule {SCHEDULE_NAME} waits {}, for people who watch; default waits {}",
            listed(&waits),
            listed(&default)
        ))?;
        let mut shown: Vec<Instant> = Vec::new();
        while Instant::now() < deadline {
            let row = self.stage.row(failing).await?;
            let attempts = self.receiver.answered_at(failing);
            for at in attempts.into_iter().skip(shown.len()) {
                let before = shown.last().zip(waits.get(shown.len().wrapping_sub(1)));
                let waited = before.map_or(String::new(), |(before, wait)| {
                    let waited = (at - *before).as_secs_f64();
                    format!(" after {waited:.2} s (the table says {wait:.1} s)")
                });
                shown.push(at);
                let refused = self.report.looking(Look::Bad, "503");
                let attempt = format!("attempt {}{waited}: {refused}", shown.len());
                self.report.outcome(&attempt)?;
            }
            if let Some(row) = row.filter(|row| row.status != "pending") {
                let last = row.last_error.unwrap_or_default();
                self.report.outcome(&format!(
                    "status '{}' after {} attempts, in postrider.dead_letters: {last}",
                    row.status, row.attempts
                ))?;
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// The operator's line, once the endpoint has been repaired.
    async fn requeue(&mut self, failing: &Address) -> anyhow::Result<()> {
        self.receiver.repair();
        self.report.statement(fixtures::REQUEUE)?;
        let requeued = self.stage.commit(fixtures::REQUEUE).await?;
        self.until(|story| story.receiver.accepted_at(failing).is_some())
            .await;
        let row = self.delivered(failing).await?;
        let accepted = self.receiver.accepted_at(failing);
        let took = accepted.map_or("never arrived".to_owned(), |at| {
            format!("COMMIT to 2xx {}", milliseconds(at - requeued.sent_at))
        });
        self.report.outcome(&format!(
            "{} -> status '{}'; {took}; {} in the log",
            counted(usize::try_from(requeued.rows)?, "row"),
            row.as_ref().map_or("gone", |row| &row.status),
            counted(
                usize::try_from(row.as_ref().map_or(0, |row| row.logged))?,
                "attempt"
            )
        ))?;
        Ok(())
    }

    /// A row of the queue, once the worker has written down that it was delivered.
    async fn delivered(&self, address: &Address) -> anyhow::Result<Option<Row>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let row = self.stage.row(address).await?;
            let delivered = row.as_ref().is_some_and(|row| row.status == "delivered");
            if delivered || Instant::now() > deadline {
                return Ok(row);
            }
            sleep(LOOK).await;
        }
    }
}

/// Waits, given in seconds.
fn listed(waits: &[f64]) -> String {
    let readable = |wait: &f64| match *wait {
        hours if hours >= 3600.0 => format!("{} h", hours / 3600.0),
        minutes if minutes >= 60.0 => format!("{} min", minutes / 60.0),
        seconds => format!("{seconds} s"),
    };
    waits.iter().map(readable).collect::<Vec<_>>().join(", ")
}

/// An endpoint on a line.
fn described(endpoint: &Listed) -> String {
    let mut wants = if endpoint.events.is_empty() {
        "all events".to_owned()
    } else {
        endpoint.events.join(", ")
    };
    if endpoint.by_events {
        wants.push_str(", the type in the URL");
    }
    if endpoint.schedule != "default" {
        let _ = write!(wants, ", schedule {}", endpoint.schedule);
    }
    let proof = match (endpoint.signing_secrets, endpoint.has_authorization) {
        (0, false) => "",
        (0, true) => "Authorization",
        (_, false) => "signed",
        (_, true) => "signed, Authorization",
    };
    let (name, dialect) = (&endpoint.name, &endpoint.dialect);
    format!("  {name:<13} {dialect:<10} {proof:<14} {wants}")
}
