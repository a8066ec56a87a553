//! The program with a database: run to its end, or serving beside it.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{PgPool, Row};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::postgres::TestDatabase;

/// A key for secrets at rest.
pub(super) const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// The program in a directory and an environment of its own.
pub(super) struct Program {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: Option<i32>,
    pub(super) out: String,
    pub(super) errors: String,
}

impl Said {
    /// What it printed, where it succeeded.
    #[track_caller]
    pub(super) fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(super) fn json(self) -> serde_json::Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// What it complained about, where it failed.
    #[track_caller]
    pub(super) fn complaint(self) -> String {
        assert_eq!(self.status, Some(1), "{self:?}");
        assert_eq!(self.out, "");
        self.errors
    }
}

impl Program {
    /// Without a database.
    pub(super) fn alone() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// With this one.
    pub(super) fn with(database: &TestDatabase) -> Self {
        Self::alone().variable("DATABASE_URL", &database.url())
    }

    /// With this variable as well.
    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Where it runs.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with_input(arguments, "").await
    }

    /// The same, with something to read.
    pub(super) async fn run_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may have ended already.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Said {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Serves, until dropped. Waits until it is ready, or says that it is not going to be.
    pub(super) async fn serve(&self) -> Serving {
        let mut child = self
            .command(&["serve", "--log-format", "json"])
            .env("POSTRIDER_HTTP__LISTEN", "127.0.0.1:0")
            .env("POSTRIDER_EGRESS__ALLOW", "127.0.0.0/8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut logged = Vec::new();
        let mut address = None;
        while address.is_none() {
            let line = lines.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended: {logged:?}"));
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            address = event["http.address"].as_str().map(str::to_owned);
            logged.push(event);
        }
        // What it says later must not fill the pipe.
        let mut reading = JoinSet::new();
        let log = Arc::new(Mutex::new(logged));
        let later = Arc::clone(&log);
        reading.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let event = serde_json::from_str(&line).unwrap();
                later.lock().unwrap().push(event);
            }
        });
        Serving {
            _reading: reading,
            child,
            address: address.unwrap(),
            log,
        }
    }

    /// The program, with nothing from our own environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true);
        command
    }
}

/// A running `serve`; killed when dropped.
#[derive(Debug)]
pub(super) struct Serving {
    child: Child,
    address: String,
    log: Arc<Mutex<Vec<serde_json::Value>>>,
    _reading: JoinSet<()>,
}

impl Serving {
    /// What `/readyz` answers, once that is `expected`.
    pub(super) async fn until_readyz_says(&self, expected: &str) {
        let mut last = String::new();
        poll(&format!("/readyz to say {expected:?}"), async || {
            last = self
                .get("/readyz", "")
                .await
                .unwrap_or_else(|error| error.to_string());
            last.contains(expected)
        })
        .await;
    }

    /// Gets a path with a token; the whole answer.
    pub(super) async fn get(&self, path: &str, token: &str) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(&self.address).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: it\r\nToken: {token}\r\nConnection: close\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Waits until it delivers.
    pub(super) async fn until_ready(&self) {
        self.until_readyz_says("\r\nready\n").await;
    }

    /// What it has logged so far and contains this.
    pub(super) fn logged(&self, text: &str) -> Vec<serde_json::Value> {
        let log = self.log.lock().unwrap();
        let lines = log.iter().filter(|line| line.to_string().contains(text));
        lines.cloned().collect()
    }

    /// Ends it in order.
    pub(super) async fn stop(mut self) {
        let process = nix::unistd::Pid::from_raw(self.child.id().unwrap().try_into().unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.child.wait().await.unwrap().success());
    }
}

/// Looks until it is so.
pub(super) async fn poll(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Every text that is stored in the tables that hold secrets.
pub(super) async fn stored_secrets(pool: &PgPool) -> Vec<(String, Option<String>)> {
    let rows = sqlx::query(
        "select 'token' as place, token as stored from postrider.instances
         union all select 'authorization', authorization_header from postrider.endpoints
         union all select 'headers', headers from postrider.endpoints
         union all select 'signing', secret from postrider.signing_secrets
         union all select 'row', auth_header from postrider.webhook_queue order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.iter()
        .map(|row| (row.get("place"), row.get("stored")))
        .collect()
}
