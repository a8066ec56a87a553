//! `postrider serve`: runs until it is told to stop.

use std::process::ExitCode;

use clap::Args;

use super::{Globals, first_token};
use crate::app::App;
use crate::roles::{Role, Roles};
use crate::source::Source;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only these roles, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE")]
    role: Vec<Role>,
}

/// Serves.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let roles = if arguments.role.is_empty() {
        &Role::ALL[..]
    } else {
        &arguments.role
    };
    run_roles(globals, roles).await
}

/// Runs these roles until told to stop.
pub(super) async fn run_roles(globals: &Globals, roles: &[Role]) -> anyhow::Result<ExitCode> {
    let config = globals.start()?;
    let app = App::start(config).await?;
    if let Some(warning) = app.config.api.warning() {
        tracing::warn!("{warning}");
    }
    // Met at the very end: between the conditions of two parts the process must not look ready.
    let started = app.readiness.condition("process", "starting");
    let mut source = Source::open(&app.config).await?;
    Roles::new(&app, source.route.clone()).start(roles).await?;
    if let Some(cluster) = &source.cluster
        && roles.contains(&Role::Api)
        && app.config.api.account_token.is_none()
    {
        let database = source.database();
        first_token::ensure(&database, cluster.data_dir()).await?;
        database.close().await;
    }
    started.met();
    let config = app.config.clone();
    let ending = tokio::select! {
        ending = app.run() => ending,
        never = source.keep_up(&config) => match never {},
    };
    source.close().await;
    Ok(ending.into())
}
