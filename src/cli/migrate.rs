//! `postrider migrate`: brings the schema up to date.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Globals;
use super::output::{Format, counted};
use crate::db::Error;
use crate::db::migrate::{self, Applied};
use crate::source::Source;

/// Arguments of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  DATABASE_URL=postgres://owner@db/app postrider migrate")]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    /// The latest migration in the database.
    version: i64,
    /// What this run added.
    applied: Vec<Applied>,
}

/// Applies what is missing.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = globals.start()?;
    let source = Source::attach(&config).await?;
    let outcome = apply(&source).await;
    source.close().await;
    let done = outcome.map_err(|error| {
        let forbidden = error
            .downcast_ref::<Error>()
            .is_some_and(Error::is_forbidden);
        error.context(if forbidden {
            "the schema was not brought up to date\nhint: the first time the role needs `grant create on database`, later it must own the schema postrider"
        } else {
            "the schema was not brought up to date"
        })
    })?;
    arguments.format.print(&done, said)?;
    Ok(ExitCode::SUCCESS)
}

/// Applies, and looks where that led.
async fn apply(source: &Source) -> anyhow::Result<Done> {
    let applied = migrate::apply(&source.route.options).await?;
    let version = migrate::progress(&source.route.options).await?.applied;
    Ok(Done { version, applied })
}

/// For people.
fn said(done: &Done) -> String {
    if done.applied.is_empty() {
        return format!("up to date, at migration {}", done.version);
    }
    let mut text = String::new();
    for Applied {
        version,
        name,
        duration_ms,
    } in &done.applied
    {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "applied {version:04} {name} ({duration_ms} ms)");
    }
    let count = i64::try_from(done.applied.len()).unwrap_or(i64::MAX);
    let counted = counted(count, "migration", "migrations");
    text + &format!(
        "up to date, at migration {}: {counted} applied",
        done.version
    )
}
