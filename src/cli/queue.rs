//! `postrider queue`: how much, what died, once more.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use super::Globals;
use super::moment::Moment;
use super::output::{Format, Table, counted, moment};
use super::session::Session;
use crate::db::administration::{AttemptLine, DeadLetter, QueueLine, Requeue};

/// Arguments of `queue`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do with the queue.
#[derive(Debug, Subcommand)]
enum Action {
    /// How many deliveries are pending, delivered and failed; cheap at any size
    #[command(after_help = "Example:\n  postrider queue stats")]
    Stats(Format),
    /// List dead letters, the latest first
    #[command(after_help = "Example:\n  postrider queue dead --instance shop --limit 20")]
    Dead(Dead),
    /// Show the attempts made at a delivery
    #[command(after_help = "Example:\n  postrider queue attempts 4711")]
    Attempts(Attempts),
    /// Give dead letters a full new cycle of attempts
    #[command(
        after_help = "Examples:\n  postrider queue requeue --instance shop --since 1h\n  postrider queue requeue --id 4711 --id 4712\n  postrider queue requeue --all --error-like '%timed out%'"
    )]
    Requeue(Again),
}

/// `queue dead`.
#[derive(Debug, Args)]
struct Dead {
    /// Only those of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Only those of the endpoint with this id
    #[arg(long, value_name = "ID")]
    endpoint: Option<i64>,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    #[command(flatten)]
    format: Format,
}

/// `queue attempts`.
#[derive(Debug, Args)]
struct Attempts {
    /// The delivery: `webhook_queue.id`
    id: i64,
    #[command(flatten)]
    format: Format,
}

/// `queue requeue`.
#[derive(Debug, Args)]
struct Again {
    /// Those of this instance
    #[arg(long)]
    instance: Option<String>,
    /// Those of the endpoint with this id
    #[arg(long, value_name = "ID")]
    endpoint: Option<i64>,
    /// Just this delivery, also where it was delivered; may be given again
    #[arg(long = "id", conflicts_with_all = ["instance", "endpoint", "since", "until", "error_like", "all"])]
    ids: Vec<i64>,
    /// Those that died since then: an age such as 2h or 7d, or a moment such as 2026-01-31T08:00:00Z
    #[arg(long)]
    since: Option<Moment>,
    /// Those that died before
    #[arg(long)]
    until: Option<Moment>,
    /// Those whose error is like this; % stands for anything
    #[arg(long, value_name = "PATTERN")]
    error_like: Option<String>,
    /// Those of all instances
    #[arg(long, conflicts_with_all = ["instance", "endpoint"])]
    all: bool,
    #[command(flatten)]
    format: Format,
}

/// Does it.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Session::run(globals, async |session| {
        let database = &session.database;
        match &arguments.action {
            Action::Stats(format) => {
                format.print(&database.queue_stats().await?, |lines| stats(lines))?;
            }
            Action::Dead(dead) => {
                let letters = database
                    .dead_letters(dead.instance.as_deref(), dead.endpoint, dead.limit)
                    .await?;
                dead.format
                    .print(&letters, |letters| dead_letters(letters))?;
            }
            Action::Attempts(attempts) => {
                let made = database.attempts_of(attempts.id).await?;
                attempts.format.print(&made, |made| log(made))?;
            }
            Action::Requeue(again) => again.run(session).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

impl Again {
    async fn run(&self, session: &Session) -> anyhow::Result<()> {
        if self.ids.is_empty() && self.instance.is_none() && self.endpoint.is_none() && !self.all {
            bail!("say which: --instance, --endpoint, --id, or --all");
        }
        let mut which = Requeue {
            instance: self.instance.clone(),
            endpoint: self.endpoint,
            ids: (!self.ids.is_empty()).then(|| self.ids.clone()),
            error_like: self.error_like.clone(),
            ..Requeue::default()
        };
        if let Some(since) = self.since {
            which.since = Some(since.on(&session.database).await?);
        }
        if let Some(until) = self.until {
            which.until = Some(until.on(&session.database).await?);
        }
        let requeued = session.database.requeue(&which).await?;
        self.format.print(&json!({ "requeued": requeued }), |_| {
            format!("re-queued {}", counted(requeued, "delivery", "deliveries"))
        })?;
        Ok(())
    }
}

/// For people.
fn stats(lines: &[QueueLine]) -> String {
    let mut table = Table::new(["channel", "status", "rows"]);
    for line in lines {
        table.row([
            line.channel.clone(),
            line.status.clone(),
            line.rows.to_string(),
        ]);
    }
    let mut text = table.or("the queue is empty");
    if let Some(line) = lines.first() {
        text = text + "as of " + &moment(line.as_of);
        if let Some(due) = line.oldest_due_at {
            text = text + "; the oldest due delivery waits since " + &moment(due);
        }
    }
    text
}

/// For people.
fn dead_letters(letters: &[DeadLetter]) -> String {
    let mut table = Table::new(["id", "endpoint", "event", "attempts", "failed", "error"]);
    for letter in letters {
        let to = letter.endpoint.as_ref().map_or_else(
            || letter.url.clone(),
            |label| format!("{}/{label}", letter.instance_name),
        );
        table.row([
            letter.id.to_string(),
            to,
            letter.event_type.clone(),
            letter.attempts.to_string(),
            moment(letter.failed_at),
            letter.last_error.clone().unwrap_or_default(),
        ]);
    }
    table.or("no dead letters")
}

/// For people.
fn log(attempts: &[AttemptLine]) -> String {
    let mut table = Table::new([
        "attempt", "at", "took", "outcome", "status", "class", "detail",
    ]);
    for attempt in attempts {
        table.row([
            attempt.attempt.to_string(),
            moment(attempt.at),
            format!("{} ms", attempt.duration_ms),
            attempt.outcome.clone(),
            attempt
                .status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            attempt.class.clone().unwrap_or_default(),
            attempt.detail.clone().unwrap_or_default(),
        ]);
    }
    table.or("no attempts are recorded for this delivery")
}
