//! The role in this process, with a listener of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use postrider::config::{self, File, Sources};
use postrider::crypto::Keyring;
use postrider::db::doorbell::{Doorbell, DoorbellSettings};
use postrider::db::{Database, Purpose};
use postrider::lifecycle::Tasks;
use postrider::metrics::{Exporter, Metrics};
use postrider::readiness::Readiness;
use postrider::realtime::{self, Equipment};
use socket2::SockRef;
use tokio::net::TcpListener;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

/// A running sidecar; dropped, it is gone at once.
pub(super) struct Sidecar {
    pub(super) address: SocketAddr,
    /// What the operator has.
    pub(super) inner: Arc<realtime::Sidecar>,
    pub(super) tasks: Tasks,
    exporter: Exporter,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.tasks.soft().cancel();
        self.tasks.hard().cancel();
    }
}

impl Sidecar {
    /// The value of a series of its metrics; none counts as 0.
    pub(super) fn metric(&self, series: &str) -> f64 {
        let page = self.exporter.render();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Waits until so many are connected.
    pub(super) async fn connected(&self, count: usize) {
        let what = format!("{count} are connected");
        until(&what, PATIENCE, async || {
            self.inner.hub.everybody().len() == count
        })
        .await;
    }
}

/// Starts one as it is configured by default.
pub(super) async fn sidecar(app: &TestApp) -> Sidecar {
    sidecar_with(app, "").await
}

/// Starts one with these lines in `[realtime]`.
pub(super) async fn sidecar_with(app: &TestApp, settings: &str) -> Sidecar {
    let text = format!("[api]\naccount_token = '{ACCOUNT}'\n[realtime]\n{settings}\n");
    let file = File {
        name: "test.toml".into(),
        text,
    };
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    let config = config::load(sources).unwrap().config;
    let tasks = Tasks::default();
    let (metrics, exporter) = Metrics::new();
    let metrics = Arc::new(metrics);
    let doorbell = Doorbell::new(
        app.options(),
        DoorbellSettings::default(),
        Arc::clone(&metrics),
    );
    let (running, soft) = (doorbell.clone(), tasks.soft().clone());
    tasks.spawn("doorbell", async move { running.run(soft).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // As the program has it.
    SockRef::from(&listener).listen(8192).unwrap();
    let address = listener.local_addr().unwrap();
    let equipment = Equipment {
        database: Database::open(app.options(), Purpose::Realtime, 4),
        route: app.options().into(),
        doorbell,
        keyring: Arc::new(Keyring::new(None, &[]).unwrap()),
        public_url: format!("http://{address}"),
        tasks: tasks.clone(),
        metrics,
        ready: Readiness::default().condition("realtime", "starting"),
    };
    let (inner, router) = realtime::start(&config, equipment);
    let hard = tasks.hard().clone();
    let serving = postrider::http::serve_with(listener, router, hard, config.realtime.dead);
    tasks.serve("http", serving);
    Sidecar {
        address,
        inner,
        tasks,
        exporter,
    }
}
