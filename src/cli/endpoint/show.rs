//! `postrider endpoint list` and `show`.

use clap::Args;

use super::super::output::{Format, Table, fields, moment};
use super::super::session::Session;
use super::Which;
use crate::db::administration::EndpointLine;

/// `endpoint list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this instance
    #[arg(long)]
    instance: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// `endpoint show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    format: Format,
}

impl List {
    /// Prints them.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let endpoints = session
            .database
            .endpoint_lines(self.instance.as_deref(), None)
            .await?;
        self.format
            .print(&endpoints, |endpoints| table(endpoints))?;
        Ok(())
    }
}

impl Show {
    /// Prints it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let endpoint = self.which.line(session).await?;
        self.format.print(&endpoint, about)?;
        Ok(())
    }
}

/// For people, one a line.
pub(in crate::cli) fn table(endpoints: &[EndpointLine]) -> String {
    let mut table = Table::new(["id", "endpoint", "dialect", "state", "events", "url"]);
    for endpoint in endpoints {
        let failing = if endpoint.failing_since.is_some() {
            ", failing"
        } else {
            ""
        };
        table.row([
            endpoint.id.to_string(),
            format!("{}/{}", endpoint.instance, endpoint.label),
            endpoint.dialect.clone(),
            format!("{}{failing}", endpoint.state),
            events(endpoint),
            endpoint.url.clone(),
        ]);
    }
    table.or("no endpoints yet; make one: postrider endpoint set INSTANCE URL")
}

/// For people, all of one.
fn about(endpoint: &EndpointLine) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let state = match &endpoint.state_reason {
        Some(reason) => format!(
            "{} since {}: {reason}",
            endpoint.state,
            moment(endpoint.state_changed_at)
        ),
        None => format!(
            "{} since {}",
            endpoint.state,
            moment(endpoint.state_changed_at)
        ),
    };
    let signed = match endpoint.signing_secrets {
        0 => "no".to_owned(),
        1 => "yes".to_owned(),
        several => format!("yes, with {several} secrets during a rotation"),
    };
    fields(&[
        ("id", endpoint.id.to_string()),
        ("instance", endpoint.instance.clone()),
        ("label", endpoint.label.clone()),
        ("channel", endpoint.channel.clone()),
        ("dialect", endpoint.dialect.clone()),
        ("url", endpoint.url.clone()),
        ("events", events(endpoint)),
        ("event in the URL", yes(endpoint.by_events)),
        ("media as base64", yes(endpoint.media_base64)),
        ("authorization", yes(endpoint.has_authorization)),
        ("custom headers", yes(endpoint.has_headers)),
        ("signed", signed),
        ("schedule", endpoint.schedule.clone()),
        ("attempts", endpoint.max_attempts.to_string()),
        ("timeout", format!("{} ms", endpoint.timeout_ms)),
        (
            "in flight",
            endpoint
                .max_in_flight
                .map_or("as the worker is configured".into(), |most| {
                    most.to_string()
                }),
        ),
        ("state", state),
        (
            "failing since",
            endpoint.failing_since.map(moment).unwrap_or_default(),
        ),
        (
            "last error",
            endpoint.last_error.clone().unwrap_or_default(),
        ),
        ("created", moment(endpoint.created_at)),
        ("changed", moment(endpoint.updated_at)),
    ])
}

/// What it wants.
fn events(endpoint: &EndpointLine) -> String {
    if endpoint.events.is_empty() {
        "all".to_owned()
    } else {
        endpoint.events.join(", ")
    }
}
