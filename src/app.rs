//! One running process: what every role needs, made once and handed on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::http;
use crate::lifecycle::{Ending, Lifecycle, Tasks};
use crate::metrics::{Exporter, Metrics};
use crate::readiness::Readiness;

/// How often metrics are tidied.
const UPKEEP: Duration = Duration::from_secs(5);

/// One running process.
#[derive(Debug)]
pub struct App {
    /// What is in force.
    pub config: Arc<Config>,
    /// To count with.
    pub metrics: Arc<Metrics>,
    /// To say what is not ready yet.
    pub readiness: Readiness,
    /// Where the HTTP listener really is, also with port 0.
    pub http_address: SocketAddr,
    /// Where roles add routes to the listener.
    pub mounts: http::Mounts,
    /// Tasks and signals.
    lifecycle: Lifecycle,
}

impl App {
    /// Takes over the signals and starts the HTTP listener. Roles come after, so that their start can be watched.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let lifecycle = Lifecycle::install().context("taking over the signals")?;
        let (metrics, exporter) = Metrics::new();
        let readiness = Readiness::default();
        let listener = listen(config.http.listen).await?;
        let http_address = listener
            .local_addr()
            .context("asking for the HTTP listener's address")?;
        let tasks = lifecycle.tasks();
        let mounts = http::Mounts::default();
        let state = http::State {
            exporter: exporter.clone(),
            readiness: readiness.clone(),
            soft: tasks.soft().clone(),
            mounts: mounts.clone(),
        };
        tasks.serve(
            "http",
            http::serve(listener, http::router(state), tasks.hard().clone()),
        );
        tasks.serve("metrics upkeep", upkeep(exporter, tasks.clone()));
        tracing::info!(http.address = %http_address, "listening: /metrics, /healthz, /readyz");
        Ok(Self {
            config: Arc::new(config),
            metrics: Arc::new(metrics),
            readiness,
            http_address,
            mounts,
            lifecycle,
        })
    }

    /// To spawn with.
    pub fn tasks(&self) -> &Tasks {
        self.lifecycle.tasks()
    }

    /// Runs until a signal or a failure, and through both stages of shutdown.
    pub async fn run(self) -> Ending {
        self.lifecycle.run(self.config.worker.drain).await
    }
}

/// Connections that may wait to be accepted, as far as the kernel lets so many (`net.core.somaxconn`). After a restart all
/// clients of the sockets come back at once, and whoever finds no place here waits for a second and more.
const BACKLOG: i32 = 8192;

/// Binds the HTTP listener.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; set another http.listen (or POSTRIDER_HTTP__LISTEN), port 0 for any free one")
    })?;
    // It listens already: this only makes the queue longer, and where it cannot, a shorter one will do.
    let _ = SockRef::from(&listener).listen(BACKLOG);
    Ok(listener)
}

/// Tidies metrics, also where nobody scrapes.
async fn upkeep(exporter: Exporter, tasks: Tasks) {
    let mut ticks = tokio::time::interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => exporter.upkeep(),
            () = tasks.hard().cancelled() => return,
        }
    }
}
