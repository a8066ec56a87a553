//! A worker as users run it: `postrider serve`, a process of its own, with the default configuration unless the environment
//! says otherwise.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::machine;
use super::stage::Stage;

/// How long a worker may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    child: Child,
}

impl WorkerProcess {
    /// Starts one over the stage's database. Extra settings are variables such as `POSTRIDER_WORKER__IN_FLIGHT_MAX`.
    pub(super) fn start(stage: &Stage, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let child = Command::new("/proc/self/exe")
            .args(["serve", "--role", "worker"])
            .env("DATABASE_URL", &stage.url)
            .env("POSTRIDER_HTTP__LISTEN", "127.0.0.1:0")
            .env("POSTRIDER_EGRESS__ALLOW", "127.0.0.0/8")
            .env("POSTRIDER_LOG__LEVEL", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting a worker")?;
        Ok(Self { child })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// The most memory it has had.
    pub(super) fn resident_max_bytes(&self) -> u64 {
        machine::resident_max_bytes(self.pid()).unwrap_or(0)
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
