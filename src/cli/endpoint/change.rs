//! What is done to an endpoint that exists: state, secret, deletion, and its deliveries once more.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use secrecy::ExposeSecret;
use serde_json::json;

use super::super::moment::Moment;
use super::super::output::{Format, counted};
use super::super::secret::Place;
use super::super::session::Session;
use super::Which;
use crate::crypto::SigningSecret;
use crate::db::administration::Requeue;

/// `endpoint enable`, `pause`, `disable`.
#[derive(Debug, Args)]
pub(super) struct State {
    #[command(flatten)]
    which: Which,
    /// Why, for those who will wonder
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// `endpoint delete`.
#[derive(Debug, Args)]
pub(super) struct Delete {
    #[command(flatten)]
    which: Which,
    /// Do it; otherwise it is only said what would go
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: Format,
}

/// `endpoint rotate-secret`.
#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    which: Which,
    /// Take the new secret, whsec_…, from this file instead of making one up; - is standard input
    #[arg(long, value_name = "FILE")]
    signing_secret_file: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// `endpoint requeue`.
#[derive(Debug, Args)]
pub(super) struct RequeueDead {
    #[command(flatten)]
    which: Which,
    /// Those that died since then: an age such as 2h or 7d, or a moment such as 2026-01-31T08:00:00Z
    #[arg(long)]
    since: Option<Moment>,
    #[command(flatten)]
    format: Format,
}

/// `endpoint replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    which: Which,
    /// Events since then: an age such as 2h or 7d, or a moment such as 2026-01-31T08:00:00Z
    #[arg(long)]
    since: Moment,
    /// Only those before
    #[arg(long)]
    until: Option<Moment>,
    #[command(flatten)]
    format: Format,
}

impl State {
    /// Puts it into that state.
    pub(super) async fn run(&self, session: &Session, state: &str) -> anyhow::Result<()> {
        let id = self.which.id(session).await?;
        session
            .database
            .set_endpoint_state(id, state, self.reason.as_deref())
            .await?;
        self.format
            .print(&json!({ "id": id, "state": state }), |_| {
                format!("endpoint {id} is {state}")
            })?;
        Ok(())
    }
}

impl Delete {
    /// Deletes it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let endpoint = self.which.line(session).await?;
        let name = format!("{}/{}", endpoint.instance, endpoint.label);
        if !self.yes {
            bail!(
                "this would delete endpoint {} ({name}, {}); pending deliveries would go to the dead letters\nhint: add --yes to do it",
                endpoint.id,
                endpoint.url
            );
        }
        let deleted = session.database.delete_endpoint(endpoint.id).await?;
        self.format.print(&json!({ "deleted": deleted }), |_| {
            format!("deleted endpoint {} ({name})", endpoint.id)
        })?;
        Ok(())
    }
}

impl Rotate {
    /// Rotates.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let endpoint = self.which.line(session).await?;
        let given = Place {
            what: "the signing secret",
            file: self.signing_secret_file.as_ref(),
            variable: None,
        }
        .read()?;
        let secret = match &given {
            Some(text) => SigningSecret::parse(text.expose_secret())?,
            None => SigningSecret::generate(&mut rand::rng()),
        };
        session
            .database
            .rotate_signing_secret(endpoint.id, &secret, &session.keyring()?)
            .await?;
        let shown = given.is_none().then(|| secret.text().expose_secret());
        let rotated = json!({ "id": endpoint.id, "signing_secret": shown });
        self.format.print(&rotated, |_| {
            let mut said = format!("endpoint {} signs with a new secret", endpoint.id);
            if endpoint.signing_secrets > 0 {
                said.push_str("; the former one signs beside it for 24 h");
            }
            if let Some(secret) = shown {
                said.push_str("\nsigning secret, shown only now: ");
                said.push_str(secret);
            }
            said
        })?;
        Ok(())
    }
}

impl RequeueDead {
    /// Re-queues its dead letters.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let endpoint = self.which.line(session).await?;
        let which = Requeue {
            endpoint: Some(endpoint.id),
            since: match self.since {
                Some(since) => Some(since.on(&session.database).await?),
                None => None,
            },
            ..Requeue::default()
        };
        let requeued = session.database.requeue(&which).await?;
        self.format.print(&json!({ "requeued": requeued }), |_| {
            format!(
                "re-queued {}",
                counted(requeued, "dead letter", "dead letters")
            )
        })?;
        Ok(())
    }
}

impl Replay {
    /// Queues its events again.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let id = self.which.id(session).await?;
        let since = self.since.on(&session.database).await?;
        let until = match self.until {
            Some(until) => Some(until.on(&session.database).await?),
            None => None,
        };
        let queued = session.database.replay(id, since, until).await?;
        self.format.print(&json!({ "queued": queued }), |_| {
            format!("queued {} again", counted(queued, "event", "events"))
        })?;
        Ok(())
    }
}
