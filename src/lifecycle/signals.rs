//! What ends the process from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Where signals come from.
#[derive(Debug)]
pub(super) enum Signals {
    /// The process's own.
    Process {
        /// Ctrl-C.
        interrupt: Signal,
        /// `kill`, systemd, Kubernetes.
        terminate: Signal,
        /// The terminal was closed. There is no configuration to read again, so it means what it meant at first. None
        /// where whoever started us had it ignored, as `nohup` does.
        hang_up: Option<Signal>,
    },
    /// A test's.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only tests script their signals")
    )]
    Scripted(mpsc::Receiver<&'static str>),
}

impl Signals {
    /// Takes over those of the process.
    pub(super) fn install() -> io::Result<Self> {
        let hang_up = if hang_up_is_ignored() {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        Ok(Self::Process {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> &'static str {
        match self {
            Self::Process {
                interrupt,
                terminate,
                hang_up,
            } => tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                Some(()) = async { hang_up.as_mut()?.recv().await } => "SIGHUP",
            },
            Self::Scripted(script) => match script.recv().await {
                Some(name) => name,
                None => std::future::pending().await,
            },
        }
    }
}

/// Whether we were started with SIGHUP ignored: `nohup postrider serve &` is to outlive its terminal.
fn hang_up_is_ignored() -> bool {
    /// SIGHUP is signal 1, so it is the lowest bit.
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & SIGHUP_BIT != 0)
}

/// Waits for Ctrl-C or SIGTERM, for a command with nothing to drain.
pub async fn interrupted() {
    let (interrupt, terminate) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        // Nobody can tell us; the signal itself ends the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
