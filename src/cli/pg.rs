//! `postrider pg`: the private Postgres.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::Globals;
use crate::db::embedded::Cluster;
use crate::db::embedded::install::Installer;

/// Arguments of `pg`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
enum Action {
    /// Install PostgreSQL, through the package manager that is there
    #[command(after_help = "Example:\n  postrider pg install")]
    Install,
    /// Print the line that opens psql in the private Postgres, while `postrider serve` runs
    #[command(after_help = "Example:\n  eval \"$(postrider pg psql)\"")]
    Psql,
}

/// Does it.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match arguments.action {
        Action::Install => {
            globals.start()?;
            tokio::task::spawn_blocking(install)
                .await
                .context("installing")??;
        }
        Action::Psql => {
            let config = globals.start()?;
            let line =
                Cluster::psql_command_of_running(config.database.embedded.data_dir.as_deref())?;
            writeln!(io::stdout().lock(), "{line}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs, telling each step; it blocks as long as a download takes.
fn install() -> anyhow::Result<()> {
    let mut steps = |step: &str| {
        // Whoever does not watch still wants it installed.
        let _ = writeln!(io::stderr().lock(), "{step}");
    };
    let directory = Installer::usual()?.install(&mut steps)?;
    writeln!(io::stdout().lock(), "{}", directory.display())?;
    Ok(())
}
