//! A worker as users run it: `postrider serve`, a process of its own, with the default configuration unless the environment
//! says otherwise.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::machine;
use super::stage::Stage;

/// How long a worker may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    child: Child,
    /// Where it tells its metrics.
    address: SocketAddr,
}

impl WorkerProcess {
    /// Starts one over the stage's database. Extra settings are variables such as `POSTRIDER_WORKER__IN_FLIGHT_MAX`.
    pub(super) fn start(stage: &Stage, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        // Free until somebody else takes it in this moment.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new("/proc/self/exe")
            .args(["serve", "--role", "worker"])
            .env("DATABASE_URL", &stage.url)
            .env("POSTRIDER_HTTP__LISTEN", address.to_string())
            .env("POSTRIDER_EGRESS__ALLOW", "127.0.0.0/8")
            .env("POSTRIDER_LOG__LEVEL", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting a worker")?;
        Ok(Self { child, address })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// The most memory it has had.
    pub(super) fn resident_max_bytes(&self) -> u64 {
        machine::resident_max_bytes(self.pid()).unwrap_or(0)
    }

    /// How many leases of others it has seen expire; none while it cannot be asked.
    pub(super) async fn expiries(&self) -> Option<u64> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.ok()?;
        page.lines()
            .find_map(|line| line.strip_prefix("postrider_lease_expiries_total "))?
            .parse()
            .ok()
    }

    /// Fails when it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the worker ended: {status}");
        }
        Ok(())
    }

    /// Kills it, as the kernel would.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a worker")
    }

    /// Stops it in order.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        stop(self.child, "the worker").await
    }
}

/// Stops a process of ours in order.
pub(super) async fn stop(mut child: Child, what: &str) -> anyhow::Result<()> {
    let pid = Pid::from_raw(child.id().unwrap_or(0).cast_signed());
    kill(pid, Signal::SIGTERM).with_context(|| format!("stopping {what}"))?;
    let status = tokio::time::timeout(PATIENCE, child.wait())
        .await
        .with_context(|| format!("{what} does not end"))??;
    if !status.success() {
        bail!("{what} ended badly: {status}");
    }
    Ok(())
}
