//! `postrider token`: what callers of the HTTP APIs show.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::json;

use super::Globals;
use super::output::{Format, Table, moment};
use super::session::Session;
use crate::crypto::token;
use crate::db::administration::{NewToken, Token, TokenKind};
use crate::model::Reach;

/// Tokens listed by one question.
const PAGE: i64 = 500;

/// Arguments of `token`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token for the HTTP APIs; it is shown once
    #[command(
        after_help = "Examples:\n  postrider token create --label deploy\n  postrider token create --instance shop\n  postrider token create --vzaps"
    )]
    Create(Create),
    /// List tokens; none of them is shown
    #[command(after_help = "Example:\n  postrider token list")]
    List(List),
    /// Revoke a token: within a second nobody is let in with it
    #[command(
        after_help = "Example:\n  postrider token revoke 1f0d9a5c-3a1e-4b57-9a3e-7c0f7b1d2e3f"
    )]
    Revoke(Revoke),
}

/// Whose.
#[derive(Debug, Args)]
pub(super) struct Owner {
    /// The account
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) account: String,
}

/// `token create`.
#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    owner: Owner,
    /// Reach only this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// What to call it
    #[arg(long)]
    label: Option<String>,
    /// Make client credentials, an id and a secret, as VZaps clients exchange them at POST /token
    #[arg(long)]
    vzaps: bool,
    #[command(flatten)]
    format: Format,
}

/// `token list`.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    format: Format,
}

/// `token revoke`.
#[derive(Debug, Args)]
struct Revoke {
    /// Its id, as `token list` shows it
    id: String,
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    format: Format,
}

/// Does it.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Session::run(globals, async |session| match &arguments.action {
        Action::Create(create) => create.run(session).await,
        Action::List(list) => list.run(session).await,
        Action::Revoke(revoke) => revoke.run(session).await,
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

impl Owner {
    /// All that the account's tokens may reach.
    pub(super) async fn reach(&self, session: &Session) -> anyhow::Result<Reach> {
        let found = session.database.reach_of(&self.account).await?;
        found.with_context(|| format!("there is no account {}", self.account))
    }
}

impl Create {
    async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let mut reach = self.owner.reach(session).await?;
        if let Some(name) = &self.instance {
            let found = session.database.find_instance(reach, name).await?;
            let instance = found.with_context(|| {
                format!("account {} has no instance {name}", self.owner.account)
            })?;
            reach.instance = Some(instance.id);
        }
        let secret = token::generate(&mut rand::rng());
        let client_id = token::client_id(&mut rand::rng());
        let kind = if self.vzaps {
            TokenKind::Client { id: &client_id }
        } else {
            TokenKind::Bearer
        };
        let new = NewToken {
            reach,
            kind,
            label: self.label.as_deref(),
            token: &secret,
        };
        let id = session.database.create_token(&new).await?;
        let shown = secret.expose_secret();
        if self.vzaps {
            let made = json!({ "id": id, "client_token": client_id, "client_secret": shown });
            self.format.print(&made, |_| {
                format!("made client credentials {id}; the secret is shown only now\nclient_token:  {client_id}\nclient_secret: {shown}")
            })?;
        } else {
            let made = json!({ "id": id, "token": shown });
            self.format.print(&made, |_| {
                format!("made token {id}; it is shown only now\ntoken: {shown}\nNext: curl -H 'Authorization: Bearer {shown}' http://{}/v1/instances", session.config.http.listen)
            })?;
        }
        Ok(())
    }
}

impl List {
    async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let reach = self.owner.reach(session).await?;
        let mut tokens: Vec<Token> = Vec::new();
        loop {
            let after = tokens.last().map_or(0, |token| token.id);
            let page = session.database.tokens(reach, after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            tokens.extend(page);
        }
        self.format.print(&tokens, |tokens| table(tokens))?;
        Ok(())
    }
}

impl Revoke {
    async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let reach = self.owner.reach(session).await?;
        if !session.database.revoke_token(reach, &self.id).await? {
            bail!(
                "account {} has no token {} that is still good\nhint: `postrider token list` shows them",
                self.owner.account,
                self.id
            );
        }
        self.format.print(&json!({ "revoked": true }), |_| {
            format!("revoked token {}", self.id)
        })?;
        Ok(())
    }
}

/// For people.
fn table(tokens: &[Token]) -> String {
    let mut table = Table::new(["id", "kind", "reaches", "label", "created", "state"]);
    for token in tokens {
        let reaches = token.instance.as_ref();
        table.row([
            token.uid.clone(),
            token.kind.clone(),
            reaches.map_or_else(
                || "the account".to_owned(),
                |name| format!("instance {name}"),
            ),
            token.label.clone().unwrap_or_default(),
            moment(token.created_at),
            token
                .revoked_at
                .map_or_else(|| "good".to_owned(), |at| format!("revoked {}", moment(at))),
        ]);
    }
    table.or("no tokens yet; make one: postrider token create")
}
