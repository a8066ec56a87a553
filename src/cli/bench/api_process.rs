//! The API, or the sidecar, as users run it: `postrider serve --role api`, a process of its own.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::stage::Stage;
use super::worker;
use crate::crypto::token;

/// The API; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct ApiProcess {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    token: SecretString,
    /// Empties what it says.
    _listening: JoinSet<()>,
}

impl ApiProcess {
    /// Starts the API over the stage's database, and waits until it answers.
    pub(super) async fn start(stage: &Stage, connections: u32) -> anyhow::Result<Self> {
        let settings = [
            ("POSTRIDER_HTTP__LISTEN", "127.0.0.1:0".to_owned()),
            (
                "POSTRIDER_DATABASE__CONNECTIONS_MAX",
                connections.to_string(),
            ),
        ];
        let token = token::generate(&mut rand::rng());
        Self::start_as(stage, ("api", "serving the APIs"), token, &settings).await
    }

    /// Starts the sidecar over the stage's database, for who has this token, and waits until it listens.
    pub(super) async fn start_realtime(
        stage: &Stage,
        token: SecretString,
        settings: &[(String, String)],
    ) -> anyhow::Result<Self> {
        Self::start_as(stage, ("realtime", "listening: "), token, settings).await
    }

    /// Starts a role, and waits until it says where it listens, in a message that begins so.
    async fn start_as<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        stage: &Stage,
        (role, said): (&str, &str),
        token: SecretString,
        settings: &[(N, V)],
    ) -> anyhow::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .args(["serve", "--role", role, "--log-format", "json"])
            .env("DATABASE_URL", &stage.url)
            .env("POSTRIDER_ACCOUNT_TOKEN", token.expose_secret())
            .env(
                "POSTRIDER_LOG__LEVEL",
                "warn,postrider::roles=info,postrider::app=info",
            )
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {role}"))?;
        let log = child.stderr.take().context("its log")?;
        let mut lines = BufReader::new(log).lines();
        let address = loop {
            let line = lines.next_line().await?.context("it ended")?;
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let message = event["message"].as_str().unwrap_or_default();
            if let Some(address) = event["http.address"]
                .as_str()
                .filter(|_| message.starts_with(said))
            {
                break address.parse()?;
            }
            if event["level"] != "INFO" {
                eprintln!("{line}");
            }
        };
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
            }
        });
        Ok(Self {
            child,
            address,
            token,
            _listening: listening,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// A token that is good for everything in it.
    pub(super) fn token(&self) -> &SecretString {
        &self.token
    }

    /// Stops it in order.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        worker::stop(self.child, "the server").await
    }

    /// Kills it, with nothing said to anybody.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
