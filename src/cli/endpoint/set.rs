//! `postrider endpoint set`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::super::output::Format;
use super::super::secret::Place;
use super::super::session::Session;
use crate::crypto::SigningSecret;
use crate::db::administration::{Change, EndpointChanges};
use crate::model::{Guard, UnfitTarget, check_header, check_header_value, target};

/// Below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  postrider endpoint set shop https://example.com/hook --sign
  pass show shop | postrider endpoint set shop https://example.com/hook --authorization-file -
  postrider endpoint set shop https://example.com/in --label paid --event order.paid";

/// `endpoint set`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The instance it belongs to
    instance: String,
    /// Where deliveries go
    url: String,
    /// Its name within the instance
    #[arg(long, default_value = "default")]
    label: String,
    /// Whose envelope and event names deliveries wear: postrider, ryze, evolution, codechat, vzaps
    #[arg(long, default_value = "postrider")]
    dialect: String,
    /// An event type it wants; may be given again
    #[arg(long = "event", value_name = "TYPE", conflicts_with = "all_events")]
    events: Vec<String>,
    /// It wants all event types
    #[arg(long)]
    all_events: bool,
    #[command(flatten)]
    secrets: Secrets,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    format: Format,
}

/// What is not to be seen by others.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Secrets (sealed before they are written, where ENCRYPTION_KEY is set)"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
struct Secrets {
    /// Take the whole Authorization header, as "Bearer …", from this file; - is standard input
    #[arg(long, value_name = "FILE", group = "authorization")]
    authorization_file: Option<PathBuf>,
    /// Take it from this variable
    #[arg(long, value_name = "VARIABLE", group = "authorization")]
    authorization_env: Option<String>,
    /// Send no Authorization header any more
    #[arg(long, group = "authorization")]
    no_authorization: bool,
    /// Take all custom headers, as a JSON object, from this file; - is standard input
    #[arg(long, value_name = "FILE", group = "custom")]
    headers_file: Option<PathBuf>,
    /// A custom header that is no secret, as "name: value"; may be given again. Replaces all there were
    #[arg(long = "header", value_name = "HEADER", group = "custom")]
    headers: Vec<String>,
    /// Send no custom headers any more
    #[arg(long, group = "custom")]
    no_headers: bool,
    /// Sign deliveries (Standard Webhooks); a secret is made up where there is none, and shown once
    #[arg(long, group = "signing")]
    sign: bool,
    /// Take the signing secret, whsec_…, from this file; - is standard input
    #[arg(long, value_name = "FILE", group = "signing")]
    signing_secret_file: Option<PathBuf>,
    /// Take it from this variable
    #[arg(long, value_name = "VARIABLE", group = "signing")]
    signing_secret_env: Option<String>,
    /// Do not sign any more
    #[arg(long, group = "signing")]
    no_signing: bool,
}

/// How it is delivered to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
struct Options {
    /// Append the event type to the URL [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    by_events: Option<bool>,
    /// Keep base64 media inside the event [default: true for postrider, else false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    media_base64: Option<bool>,
    /// Its row of the backoff table: default, evolution (what that dialect has), evolution-lite, standard, or one of your own
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Attempts before a delivery is dead [default: the schedule's]
    #[arg(long, value_name = "NUMBER")]
    max_attempts: Option<i32>,
    /// The whole attempt, in milliseconds [default: the schedule's]
    #[arg(long, value_name = "NUMBER")]
    timeout_ms: Option<i32>,
    /// Attempts in flight in one worker [default: as the worker is configured]
    #[arg(long, value_name = "NUMBER")]
    max_in_flight: Option<i32>,
}

impl Arguments {
    /// Makes or changes it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<()> {
        let keyring = session.keyring()?;
        // A refusal is a warning only: what workers may do is for their configuration to say.
        let refused = match target(&self.url, &Guard::new(session.config.egress.allow.clone())) {
            Ok(_) => None,
            Err(UnfitTarget::Refused(refused)) => Some(refused),
            Err(unfit) => bail!("the URL cannot be set: {unfit}"),
        };
        let signs_already = self.signs_already(session).await?;
        let signing = self.secrets.signing(signs_already)?;
        let made_up = match &signing {
            Change::To(secret) if self.secrets.sign => Some(secret.text().clone()),
            _ => None,
        };
        let changes = EndpointChanges {
            instance: &self.instance,
            url: &self.url,
            label: &self.label,
            dialect: &self.dialect,
            events: (self.all_events || !self.events.is_empty()).then(|| self.events.clone()),
            authorization: self.secrets.authorization()?,
            headers: self.secrets.headers()?,
            signing,
            by_events: self.options.by_events,
            media_base64: self.options.media_base64,
            schedule: self.options.schedule.as_deref(),
            max_attempts: self.options.max_attempts,
            timeout_ms: self.options.timeout_ms,
            max_in_flight: self.options.max_in_flight,
            channel: "webhook",
            ..EndpointChanges::default()
        };
        let id = session.database.set_endpoint(&changes, &keyring).await?;
        let secret = made_up.as_ref().map(ExposeSecret::expose_secret);
        let made = json!({
            "id": id, "instance": self.instance, "label": self.label, "dialect": self.dialect, "signing_secret": secret,
        });
        self.format.print(&made, |_| {
            let mut said = format!("endpoint {id} is set: {}/{}", self.instance, self.label);
            if let Some(refused) = refused {
                let _ = write!(said, "\nas configured here, deliveries to it would fail: {refused}");
            }
            if let Some(secret) = secret {
                said.push_str("\nsigning secret, shown only now: ");
                said.push_str(secret);
            } else if self.secrets.sign {
                said.push_str("\nit signs already, with the secret it had; `postrider endpoint rotate-secret` makes another");
            }
            said
        })?;
        Ok(())
    }

    /// Whether the endpoint exists and signs.
    async fn signs_already(&self, session: &Session) -> anyhow::Result<bool> {
        let endpoints = session
            .database
            .endpoint_lines(Some(&self.instance), None)
            .await?;
        Ok(endpoints.iter().any(|endpoint| {
            endpoint.label == self.label
                && endpoint.dialect == self.dialect
                && endpoint.signing_secrets > 0
        }))
    }
}

impl Secrets {
    /// The `Authorization` header, checked as the worker will.
    fn authorization(&self) -> anyhow::Result<Change<SecretString>> {
        if self.no_authorization {
            return Ok(Change::Remove);
        }
        let place = Place {
            what: "the Authorization header",
            file: self.authorization_file.as_ref(),
            variable: self.authorization_env.as_ref(),
        };
        let Some(header) = place.read()? else {
            return Ok(Change::Keep);
        };
        if let Err(problem) = check_header_value(header.expose_secret()) {
            bail!("the Authorization header {problem}");
        }
        Ok(Change::To(header))
    }

    /// Custom headers, checked as the worker will.
    fn headers(&self) -> anyhow::Result<Change<BTreeMap<String, SecretString>>> {
        if self.no_headers {
            return Ok(Change::Remove);
        }
        let file = Place {
            what: "custom headers",
            file: self.headers_file.as_ref(),
            variable: None,
        };
        let headers: BTreeMap<String, SecretString> = if let Some(text) = file.read()? {
            // The parser's message could quote a value.
            serde_json::from_str(text.expose_secret()).ok().context(
                r#"custom headers are not a JSON object of strings, such as {"x-team": "billing"}"#,
            )?
        } else if self.headers.is_empty() {
            return Ok(Change::Keep);
        } else {
            self.headers
                .iter()
                .map(|header| {
                    let (name, value) = header.split_once(':').with_context(|| {
                        format!("{header:?} is not a header; write it as \"name: value\"")
                    })?;
                    Ok((name.trim().to_owned(), SecretString::from(value.trim())))
                })
                .collect::<anyhow::Result<_>>()?
        };
        for (name, value) in &headers {
            if let Err(problem) = check_header(name, value.expose_secret()) {
                bail!("header {name:?} {problem}");
            }
        }
        Ok(Change::To(headers))
    }

    /// What signs.
    fn signing(&self, signs_already: bool) -> anyhow::Result<Change<SigningSecret>> {
        if self.no_signing {
            return Ok(Change::Remove);
        }
        if self.sign && !signs_already {
            return Ok(Change::To(SigningSecret::generate(&mut rand::rng())));
        }
        let place = Place {
            what: "the signing secret",
            file: self.signing_secret_file.as_ref(),
            variable: self.signing_secret_env.as_ref(),
        };
        Ok(match place.read()? {
            Some(text) => Change::To(SigningSecret::parse(text.expose_secret())?),
            None => Change::Keep,
        })
    }
}
