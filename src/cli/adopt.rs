//! `postrider adopt`: this database, a copy of another, delivers from now on.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Globals;
use super::output::Format;
use super::session::Session;
use crate::db::installation::Identity;

/// Arguments of `adopt`.
#[derive(Debug, Args)]
#[command(after_help = "\
A database that was restored or copied holds the original's queue. Workers deliver nothing from it, so that
staging does not send production's webhooks. Once the original is gone for good:

Example:
  DATABASE_URL=postgres://owner@restored/app postrider adopt")]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    /// Whether it was a copy until now.
    was_a_copy: bool,
    /// Deliveries that go out now.
    pending: i64,
}

/// Adopts it.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let done = Session::run(globals, async |session| {
        let was_a_copy = session.database.identity().await? != Identity::Original;
        if was_a_copy {
            session.database.adopt().await?;
        }
        let pending = session
            .database
            .depth()
            .await?
            .iter()
            .filter(|line| line.status == "pending")
            .map(|line| line.rows)
            .sum();
        Ok(Done {
            was_a_copy,
            pending,
        })
    })
    .await?;
    arguments.format.print(&done, |done| {
        if done.was_a_copy {
            format!(
                "adopted: this database delivers now; pending: {}. Workers that are running notice within seconds",
                done.pending
            )
        } else {
            "nothing to do: this database is the one that delivers".to_owned()
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
