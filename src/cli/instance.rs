//! `postrider instance`: the tenants.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::Globals;
use super::output::{Format, Table, counted, fields, moment};
use super::secret::Place;
use super::session::Session;
use super::token::Owner;
use crate::crypto::token;
use crate::db::administration::{InstanceLine, NewInstance};
use crate::model::Reach;

/// Arguments of `instance`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do with instances.
#[derive(Debug, Subcommand)]
enum Action {
    /// Create an instance; its token is made up unless given, and shown once
    #[command(
        after_help = "Examples:\n  postrider instance create shop\n  postrider instance create shop --account acme"
    )]
    Create(Create),
    /// List all instances
    #[command(after_help = "Example:\n  postrider instance list --json")]
    List(Format),
    /// Show an instance and its endpoints
    #[command(after_help = "Example:\n  postrider instance show shop")]
    Show(Named),
    /// Delete an instance and its endpoints; what was pending goes to the dead letters
    #[command(after_help = "Example:\n  postrider instance delete shop --yes")]
    Delete(Delete),
    /// Show an instance's token, or give it another one
    #[command(
        after_help = "Examples:\n  postrider instance token shop\n  postrider instance token shop --rotate"
    )]
    Token(Token),
}

/// `instance create`.
#[derive(Debug, Args)]
struct Create {
    /// Its name
    name: String,
    /// What envelopes that have a sender put there
    #[arg(long)]
    sender: Option<String>,
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    given: GivenToken,
    #[command(flatten)]
    format: Format,
}

/// A token that exists already.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct GivenToken {
    /// Take the token from this file; - is standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Take the token from this variable
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
}

/// A command about one instance.
#[derive(Debug, Args)]
struct Named {
    /// The instance
    name: String,
    #[command(flatten)]
    format: Format,
}

/// `instance delete`.
#[derive(Debug, Args)]
struct Delete {
    /// The instance
    name: String,
    /// Do it; otherwise it is only said what would go
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: Format,
}

/// `instance token`.
#[derive(Debug, Args)]
struct Token {
    /// The instance
    name: String,
    /// Make up another token; the former one is worth nothing from then on
    #[arg(long, conflicts_with_all = ["token_file", "token_env"])]
    rotate: bool,
    #[command(flatten)]
    given: GivenToken,
    #[command(flatten)]
    format: Format,
}

/// Does it.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Session::run(globals, async |session| match &arguments.action {
        Action::Create(create) => create.run(session).await,
        Action::List(format) => {
            let instances = session.database.instances(None).await?;
            format.print(&instances, |instances| table(instances))?;
            Ok(())
        }
        Action::Show(named) => named.show(session).await,
        Action::Delete(delete) => delete.run(session).await,
        Action::Token(token) => token.run(session).await,
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

impl GivenToken {
    /// It, where there is one.
    fn read(&self) -> anyhow::Result<Option<SecretString>> {
        Place {
            what: "the token",
            file: self.token_file.as_ref(),
            variable: self.token_env.as_ref(),
        }
        .read()
    }
}

impl Create {
    async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let reach = self.owner.reach(session).await?;
        let given = self.given.read()?;
        let made_up = given.is_none();
        let token = given.unwrap_or_else(|| token::generate(&mut rand::rng()));
        let new = NewInstance {
            name: &self.name,
            token: &token,
            sender: self.sender.as_deref(),
            reach,
            details: None,
        };
        let id = session
            .database
            .create_instance(&new, &session.keyring()?)
            .await?;
        // A token that was given is known already, and need not stand on a screen.
        let shown = made_up.then(|| token.expose_secret());
        // As all other commands and SQL call it.
        let name = if reach.account == Reach::DEFAULT_ACCOUNT.account {
            self.name.clone()
        } else {
            format!("{}/{}", self.owner.account, self.name)
        };
        let made = json!({ "id": id, "name": name, "token": shown });
        self.format.print(&made, |_| {
            let token = shown.map(|token| format!("token: {token}\n"));
            format!(
                "created instance {name} ({id})\n{}Next: postrider endpoint set {name} https://…",
                token.unwrap_or_default(),
            )
        })?;
        Ok(())
    }
}

impl Named {
    async fn show(&self, session: &Session) -> anyhow::Result<()> {
        let instance = one(session, &self.name).await?;
        let endpoints = session
            .database
            .endpoint_lines(Some(&self.name), None)
            .await?;
        let both = json!({ "instance": instance, "endpoints": endpoints });
        self.format.print(&both, |_| {
            let about = fields(&[
                ("name", instance.name.clone()),
                ("id", instance.id.clone()),
                ("vzaps id", instance.vzaps_id.clone()),
                ("sender", instance.sender.clone().unwrap_or_default()),
                ("created", moment(instance.created_at)),
            ]);
            format!("{about}\n{}", super::endpoint::table(&endpoints))
        })?;
        Ok(())
    }
}

impl Delete {
    async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let instance = one(session, &self.name).await?;
        let captured = session.database.captures_naming(&self.name).await?;
        let captured = captured.map_or_else(String::new, |tables| {
            format!(
                "warning: captures name it, and what writes to {tables} may fail then: end them by select postrider.uncapture('table')\n"
            )
        });
        if !self.yes {
            bail!(
                "this would delete instance {} and {}; pending deliveries would go to the dead letters\n{captured}hint: add --yes to do it",
                self.name,
                counted(instance.endpoints, "endpoint", "endpoints")
            );
        }
        eprint!("{captured}");
        let deleted = session.database.delete_instance(&self.name).await?;
        self.format.print(&json!({ "deleted": deleted }), |_| {
            format!("deleted instance {}", self.name)
        })?;
        Ok(())
    }
}

impl Token {
    async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let keyring = session.keyring()?;
        let wanted = match self.given.read()? {
            None if self.rotate => Some(token::generate(&mut rand::rng())),
            given => given,
        };
        let present = if let Some(token) = wanted {
            let database = &session.database;
            if !database
                .set_instance_token(&self.name, &token, &keyring)
                .await?
            {
                return Err(none(&self.name));
            }
            token
        } else {
            one(session, &self.name).await?;
            let stored = session.database.instance_token(&self.name).await?;
            let stored = stored.with_context(|| {
                format!(
                    "instance {} has no token\nhint: postrider instance token {} --rotate",
                    self.name, self.name
                )
            })?;
            keyring.open(&stored).context("the token cannot be shown")?
        };
        let shown = present.expose_secret();
        self.format
            .print(&json!({ "name": self.name, "token": shown }), |_| {
                shown.to_owned()
            })?;
        Ok(())
    }
}

/// The instance of this name, or an error.
async fn one(session: &Session, name: &str) -> anyhow::Result<InstanceLine> {
    let mut found = session.database.instances(Some(name)).await?;
    found.pop().ok_or_else(|| none(name))
}

/// There is none of this name.
fn none(name: &str) -> anyhow::Error {
    anyhow::anyhow!("there is no instance {name}\nhint: `postrider instance list` shows them")
}

/// For people.
fn table(instances: &[InstanceLine]) -> String {
    let mut table = Table::new(["name", "id", "endpoints", "created"]);
    for instance in instances {
        table.row([
            instance.name.clone(),
            instance.id.clone(),
            instance.endpoints.to_string(),
            moment(instance.created_at),
        ]);
    }
    table.or("no instances yet; make one: postrider instance create NAME")
}
