//! `postrider endpoint`: who wants to know.

mod change;
mod set;
mod show;
mod test;

pub(super) use show::table;

use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::Globals;
use super::session::Session;

/// Arguments of `endpoint`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do with endpoints.
#[derive(Debug, Subcommand)]
enum Action {
    /// Create an endpoint, or change the one of this label; what is not said stays as it is
    #[command(after_help = set::EXAMPLES)]
    Set(Box<set::Arguments>),
    /// List endpoints
    #[command(after_help = "Example:\n  postrider endpoint list --instance shop")]
    List(show::List),
    /// Show everything about an endpoint but its secrets
    #[command(after_help = "Example:\n  postrider endpoint show shop/default")]
    Show(show::Show),
    /// Deliver to an endpoint again, beginning with what was held for it
    #[command(after_help = "Example:\n  postrider endpoint enable shop/default")]
    Enable(change::State),
    /// Hold its deliveries until it is enabled; new events are queued and held too
    #[command(
        after_help = "Example:\n  postrider endpoint pause shop/default --reason 'moving house'"
    )]
    Pause(change::State),
    /// Hold its deliveries until it is enabled, and queue nothing new meanwhile
    #[command(after_help = "Example:\n  postrider endpoint disable shop/default")]
    Disable(change::State),
    /// Delete an endpoint; what was pending goes to the dead letters
    #[command(after_help = "Example:\n  postrider endpoint delete shop/default --yes")]
    Delete(change::Delete),
    /// Sign with a new secret, shown once; the former one signs beside it for 24 h
    #[command(after_help = "Example:\n  postrider endpoint rotate-secret shop/default")]
    RotateSecret(change::Rotate),
    /// Give an endpoint's dead letters a full new cycle of attempts
    #[command(after_help = "Example:\n  postrider endpoint requeue shop/default --since 2h")]
    Requeue(change::RequeueDead),
    /// Queue every event since then once more, delivered, pending or dead
    #[command(
        after_help = "Example:\n  postrider endpoint replay shop/default --since 2026-01-31T08:00:00Z"
    )]
    Replay(change::Replay),
    /// Send a test event to an endpoint and say what it answered
    #[command(after_help = "Example:\n  postrider endpoint test shop/default")]
    Test(test::Arguments),
}

/// How an endpoint is named: by its id, or by instance and label.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// Its id.
    Id(i64),
    /// Its owner and the owner's name for it.
    Label {
        /// The owner.
        instance: String,
        /// The label.
        label: String,
    },
}

/// The endpoint a command is about.
#[derive(Debug, Args)]
struct Which {
    /// The endpoint: INSTANCE/LABEL, or its id
    #[arg(value_name = "ENDPOINT")]
    name: Name,
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        // A label has no slash; an instance may.
        match text.rsplit_once('/') {
            Some((instance, label)) if !instance.is_empty() && !label.is_empty() => {
                Ok(Self::Label {
                    instance: instance.to_owned(),
                    label: label.to_owned(),
                })
            }
            _ => Err(
                "write INSTANCE/LABEL, such as shop/default, or the id that `postrider endpoint list` shows",
            ),
        }
    }
}

impl Which {
    /// Its id; an error where there is no such endpoint.
    async fn id(&self, session: &Session) -> anyhow::Result<i64> {
        Ok(match &self.name {
            Name::Id(id) => *id,
            Name::Label { instance, label } => {
                session.database.endpoint_of(instance, label).await?
            }
        })
    }

    /// All about it.
    async fn line(
        &self,
        session: &Session,
    ) -> anyhow::Result<crate::db::administration::EndpointLine> {
        let id = self.id(session).await?;
        let mut found = session.database.endpoint_lines(None, Some(id)).await?;
        found.pop().ok_or_else(|| {
            anyhow::anyhow!("there is no endpoint {id}\nhint: `postrider endpoint list` shows them")
        })
    }
}

/// Does it.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Session::run(globals, async |session| {
        match &arguments.action {
            Action::Set(set) => set.run(session).await,
            Action::List(list) => list.run(session).await,
            Action::Show(show) => show.run(session).await,
            Action::Enable(state) => state.run(session, "enabled").await,
            Action::Pause(state) => state.run(session, "paused").await,
            Action::Disable(state) => state.run(session, "disabled").await,
            Action::Delete(delete) => delete.run(session).await,
            Action::RotateSecret(rotate) => rotate.run(session).await,
            Action::Requeue(requeue) => requeue.run(session).await,
            Action::Replay(replay) => replay.run(session).await,
            Action::Test(test) => return test.run(session).await,
        }
        .map(|()| ExitCode::SUCCESS)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn endpoints_are_named_by_id_or_by_instance_and_label() {
        let label = |instance: &str, label: &str| {
            Some(Name::Label {
                instance: instance.into(),
                label: label.into(),
            })
        };
        for (text, expected) in [
            ("17", Some(Name::Id(17))),
            ("shop/default", label("shop", "default")),
            ("a/b/c", label("a/b", "c")),
            ("17/default", label("17", "default")),
            ("shop", None),
            ("/x", None),
            ("x/", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
