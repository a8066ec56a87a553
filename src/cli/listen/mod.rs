//! `postrider listen`: an instance's events as they come, printed, or sent to a URL of this machine as webhooks.
//!
//! It is a client as any other: it needs a server's URL and a token, and no database.

mod forward;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use time::{OffsetDateTime, UtcOffset};
use tokio_util::sync::CancellationToken;

use super::Globals;
use super::moment::Moment;
use super::output::one_line;
use super::secret::Place;
use crate::channels::WallClock;
use crate::client::{Client, Event, HandlerError, Subscribe, Subscription};
use crate::config::Config;
use crate::crypto::SigningSecret;
use crate::lifecycle;
use forward::Forward;

/// Arguments of `listen`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postrider listen --instance shop\n  postrider listen --instance shop --events order.paid,order.sent --since 2h --json\n  postrider listen --instance shop --forward-to http://localhost:3000/hook"
)]
pub struct Arguments {
    /// Whose events
    #[arg(long)]
    instance: String,
    /// Only events of these types, separated by commas
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    events: Vec<String>,
    /// Begin there instead of now: an age such as 2h or 7d, or a moment such as 2026-01-31T08:00:00Z
    #[arg(long)]
    since: Option<Moment>,
    /// A name under which the server keeps how far you are: the next time you go on there
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// POST each event there as a signed webhook; what is not answered with 2xx is sent again
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
    /// Sign with the secret, whsec_…, in this file; - is standard input [default: one that is made up and shown]
    #[arg(
        long,
        value_name = "FILE",
        requires = "forward_to",
        conflicts_with = "signing_secret_env"
    )]
    signing_secret_file: Option<PathBuf>,
    /// Take it from this variable
    #[arg(long, value_name = "VARIABLE", requires = "forward_to")]
    signing_secret_env: Option<String>,
    /// The server.
    #[arg(
        long,
        value_name = "URL",
        help = "The server [default: POSTRIDER_URL, else http.public_url or http.listen]"
    )]
    url: Option<String>,
    /// A token that reaches the instance.
    #[arg(
        long,
        help = "A token that reaches it; better POSTRIDER_TOKEN, as others see a command line [default: api.account_token]"
    )]
    token: Option<Token>,
    /// A line of JSON for each event, for scripts
    #[arg(long)]
    json: bool,
}

/// A token, which `Debug` does not show.
#[derive(Clone)]
struct Token(String);

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Listens until it is told to end.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = globals.start()?;
    let clock = Arc::new(WallClock::default());
    let printer = Arc::new(Printer::new(arguments.json));
    let subscribe = arguments.subscribe(&config, &clock)?;
    let subscribe = match &arguments.forward_to {
        None => {
            let printer = Arc::clone(&printer);
            subscribe.on_any(move |event| {
                let outcome = printer.event(&event);
                async move { outcome }
            })
        }
        Some(url) => {
            let secret = arguments.signing_secret()?;
            let forward = Arc::new(Forward::new(&config, url, secret, clock)?);
            let printer = Arc::clone(&printer);
            subscribe.on_any(move |event| {
                let (forward, printer) = (Arc::clone(&forward), Arc::clone(&printer));
                async move { forward.send(&event, &printer).await }
            })
        }
    };
    until_told(subscribe.start(), &printer).await
}

/// Until a signal comes, the output has gone, or it is of no use to go on.
async fn until_told(mut subscription: Subscription, printer: &Printer) -> anyhow::Result<ExitCode> {
    tokio::select! {
        ended = subscription.ended() => {
            ended.context("listening")?;
        }
        () = lifecycle::interrupted() => subscription.close().await?,
        () = printer.broken.cancelled() => {
            subscription.close().await?;
            if let Some(error) = printer.error() {
                return Err(error).context("printing");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// The subscription, without what is done with events.
    fn subscribe(&self, config: &Config, clock: &WallClock) -> anyhow::Result<Subscribe> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let url = self.url.clone().or_else(|| variable("POSTRIDER_URL"));
        let url = url.or_else(|| config.http.public_url.clone());
        let url = url.unwrap_or_else(|| format!("http://{}", config.http.listen));
        let token = self.token.clone().map(|Token(text)| text);
        let token = token.or_else(|| variable("POSTRIDER_TOKEN"));
        let token = token.map(SecretString::from);
        let Some(token) = token.or_else(|| config.api.account_token.clone()) else {
            bail!(
                "no token is given\nhint: set POSTRIDER_TOKEN; `postrider token create --instance {}` makes one",
                self.instance
            );
        };
        let client = Client::new(&url).context("--url")?;
        let mut subscribe = client.subscribe(&self.instance, token).events(&self.events);
        if let Some(name) = &self.consumer {
            subscribe = subscribe.consumer(name);
        }
        match self.since {
            None => {}
            Some(Moment::At(at)) => subscribe = subscribe.since(at),
            Some(Moment::Ago(age)) => subscribe = subscribe.since(clock.now() - age),
        }
        Ok(subscribe
            .on_error(|error| warn(&crate::causes::Causes(error)))
            .on_gap(|reason| {
                warn(&format_args!(
                    "events were removed before they could be read ({reason}): going on with the oldest there is"
                ));
            }))
    }

    /// What is signed with.
    fn signing_secret(&self) -> anyhow::Result<SigningSecret> {
        let place = Place {
            what: "the signing secret",
            file: self.signing_secret_file.as_ref(),
            variable: self.signing_secret_env.as_ref(),
        };
        if let Some(text) = place.read()? {
            return Ok(SigningSecret::parse(text.expose_secret())?);
        }
        let secret = SigningSecret::generate(&mut rand::rng());
        // Made up for this run and shown once, or the receiver could not check anything.
        writeln!(
            io::stderr(),
            "signing with {}",
            secret.text().expose_secret()
        )?;
        Ok(secret)
    }
}

/// Says something beside the events.
fn warn(what: &dyn fmt::Display) {
    // If standard error is gone, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "postrider: {}", one_line(what.to_string()));
}

/// Standard output, a line for each event.
#[derive(Debug)]
struct Printer {
    json: bool,
    /// It cannot be written to any more.
    broken: CancellationToken,
    error: Mutex<Option<io::Error>>,
}

impl Printer {
    fn new(json: bool) -> Self {
        Self {
            json,
            broken: CancellationToken::new(),
            error: Mutex::default(),
        }
    }

    /// Prints an event.
    fn event(&self, event: &Event) -> Result<(), HandlerError> {
        if self.json {
            // Outside of strings JSON has line breaks only to be read by; within them they are escaped.
            return self.line(&serde_json::to_string(event)?.replace(['\n', '\r'], " "));
        }
        self.line(&format!("{}  {}", heading(event), event.data))
    }

    /// Prints a line, and remembers that it could not.
    fn line(&self, line: &str) -> Result<(), HandlerError> {
        let mut out = io::stdout().lock();
        let printed = writeln!(out, "{}", one_line(line.to_owned())).and_then(|()| out.flush());
        printed.map_err(|error| {
            let kind = error.kind();
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            self.broken.cancel();
            io::Error::from(kind).into()
        })
    }

    /// Why it cannot be written to.
    fn error(&self) -> Option<io::Error> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.take()
    }
}

/// When, what, and which one.
fn heading(event: &Event) -> String {
    format!(
        "{}  {}  {}",
        moment(event.timestamp),
        event.event_type,
        event.id
    )
}

/// To the millisecond, in UTC.
fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (hour, minute, second, milli) = at.to_hms_milli();
    format!(
        "{} {hour:02}:{minute:02}:{second:02}.{milli:03}Z",
        at.date()
    )
}
