//! The roles of one process, started over one database.

mod worker;

use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;

use crate::app::App;
use crate::crypto::Keyring;
use crate::db::doorbell::{Doorbell, DoorbellSettings};
use crate::db::notices::NoticeSource;
use crate::db::{Database, Line, Purpose, Route, migrate};
use crate::http;
use crate::http::api::Api;
use crate::ingest::Ingest;
use crate::readiness::Condition;
use crate::realtime;

/// The ingest writes on one connection, and renews its duty meanwhile.
const INGEST_CONNECTIONS_MAX: u32 = 2;
/// Sockets look up tokens and what was missed; thousands come at once after a restart.
const REALTIME_CONNECTIONS_MAX: u32 = 8;

/// What a process may do. All of them meet only in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Delivers what is queued.
    Worker,
    /// Turns NOTIFY into events.
    Ingest,
    /// Answers the HTTP APIs.
    Api,
    /// Streams events over sockets.
    Realtime,
}

impl Role {
    /// What `serve` does unless told otherwise.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Ingest, Self::Api, Self::Realtime];
}

/// The roles that run, to be waited for by readiness.
#[derive(Debug)]
pub struct Roles<'a> {
    app: &'a App,
    route: Route,
    name: String,
}

impl<'a> Roles<'a> {
    /// For one process.
    pub fn new(app: &'a App, route: impl Into<Route>) -> Self {
        Self {
            app,
            route: route.into(),
            name: process_name(),
        }
    }

    /// Brings the schema up to date and starts these roles.
    pub async fn start(&self, roles: &[Role]) -> anyhow::Result<()> {
        let schema = self
            .app
            .readiness
            .condition("schema", "being brought up to date");
        let progress = migrate::run(&self.route.options)
            .await
            .context("bringing the schema up to date")?;
        tracing::info!(migration = progress.applied, "schema is up to date");
        schema.met();
        let config = &self.app.config;
        if roles.contains(&Role::Worker) {
            self.apply_limits().await?;
        }
        let keyring = Arc::new(
            Keyring::new(config.encryption.key.as_ref(), &config.encryption.old_keys)
                .context("encryption.key (ENCRYPTION_KEY) cannot be used")?,
        );
        if !keyring.can_seal() {
            tracing::warn!(
                "no encryption key: secrets rest in plain in the database; set ENCRYPTION_KEY (openssl rand -base64 32)"
            );
        }
        self.warn_of_sealed(&keyring).await;
        let doorbell = Doorbell::new(
            self.route.options.clone(),
            self.doorbell_settings(),
            self.app.metrics.clone(),
        );
        let running = doorbell.clone();
        let soft = self.app.tasks().soft().clone();
        self.app
            .tasks()
            .spawn("doorbell", async move { running.run(soft).await });
        for role in roles {
            let ready = self.app.readiness.condition(role_name(*role), "starting");
            match role {
                Role::Worker => self.start_worker(&doorbell, &keyring, ready).await?,
                Role::Ingest => self.start_ingest(&ready),
                Role::Api => self.start_api(&keyring, &ready).await?,
                Role::Realtime => self.start_realtime(&doorbell, &keyring, ready),
            }
        }
        Ok(())
    }

    /// Says which secrets no key opens: what needs them would fail at night.
    async fn warn_of_sealed(&self, keyring: &Keyring) {
        let database = Database::open(self.route.clone(), Purpose::Command, 1);
        for secrets in database.doctor_secrets().await.into_iter().flatten() {
            let opened = secrets.text.as_deref().map(|text| keyring.open(text));
            if let Some(Err(error)) = opened {
                tracing::error!(
                    %error, secrets = secrets.rows, place = secrets.place,
                    "sealed secrets cannot be opened; set ENCRYPTION_KEY to the key that sealed them, or add it to ENCRYPTION_KEY_OLD"
                );
            }
        }
        database.close().await;
    }

    /// What functions in the database go by. Another process may have said something else: the last to start is right.
    async fn apply_limits(&self) -> anyhow::Result<()> {
        let config = &self.app.config;
        let database = Database::open(self.route.clone(), Purpose::Command, 1);
        let applied = database
            .apply_limits(
                config.limits.payload_bytes_max,
                config.retention.idempotency,
            )
            .await;
        database.close().await;
        Ok(applied?)
    }

    /// Starts the worker.
    async fn start_worker(
        &self,
        doorbell: &Doorbell,
        keyring: &Arc<Keyring>,
        ready: Condition,
    ) -> anyhow::Result<()> {
        let starting = worker::Starting {
            config: self.app.config.clone(),
            http_address: self.app.http_address,
            tasks: self.app.tasks().clone(),
            metrics: self.app.metrics.clone(),
            database: Database::open(
                self.route.clone(),
                Purpose::Worker,
                self.app.config.database.connections_max,
            ),
            doorbell: doorbell.clone(),
            keyring: keyring.clone(),
            name: self.name.clone(),
            ready,
        };
        starting.start().await
    }

    /// Starts the ingest. It is ready at once: while it cannot listen, it says so and tries again.
    fn start_ingest(&self, ready: &Condition) {
        let topic = &self.app.config.ingest.topic;
        if self.route.line == Line::Pooled {
            // A LISTEN would stay behind on a server of the pooler's.
            tracing::warn!(
                ingest.topic = topic,
                "NOTIFY does not become events: no notification arrives through a pooler in transaction mode"
            );
            ready.met();
            return;
        }
        let database = Database::open(self.route.clone(), Purpose::Ingest, INGEST_CONNECTIONS_MAX);
        let source = NoticeSource::new(self.route.options.clone(), topic);
        let ingest = Ingest::new(database, source, self.app.metrics.clone(), &self.name);
        let soft = self.app.tasks().soft().clone();
        self.app.tasks().spawn("ingest", ingest.run(soft));
        ready.met();
    }

    /// Adds the APIs to the listener. They are ready at once: where the database is away, they say so.
    async fn start_api(&self, keyring: &Arc<Keyring>, ready: &Condition) -> anyhow::Result<()> {
        let config = self.app.config.clone();
        let connections_max = config.database.connections_max;
        let database = Database::open(self.route.clone(), Purpose::Api, connections_max);
        let api = Api::new(database, keyring.clone(), config, &self.public_url());
        http::evolution::start(&api)
            .await
            .context("setting up Evolution API's global webhook")?;
        self.app.mounts.mount(http::api::router(api));
        tracing::info!(http.address = %self.app.http_address, "serving the APIs: /v1, /docs, /openapi.json");
        ready.met();
        Ok(())
    }

    /// Adds the sockets to the listener. They are ready once the log is followed.
    fn start_realtime(&self, doorbell: &Doorbell, keyring: &Arc<Keyring>, ready: Condition) {
        let config = &self.app.config;
        let equipment = realtime::Equipment {
            database: Database::open(
                self.route.clone(),
                Purpose::Realtime,
                REALTIME_CONNECTIONS_MAX,
            ),
            route: self.route.clone(),
            doorbell: doorbell.clone(),
            keyring: keyring.clone(),
            public_url: self.public_url(),
            tasks: self.app.tasks().clone(),
            metrics: self.app.metrics.clone(),
            ready,
        };
        let (_sidecar, router) = realtime::start(config, equipment);
        self.app.mounts.mount(router);
    }

    /// How clients reach us.
    fn public_url(&self) -> String {
        let configured = self.app.config.http.public_url.clone();
        configured.unwrap_or_else(|| format!("http://{}", self.app.http_address))
    }

    /// As configured.
    fn doorbell_settings(&self) -> DoorbellSettings {
        let doorbell = &self.app.config.doorbell;
        DoorbellSettings {
            floor_poll: doorbell.floor_poll,
            awake_min: doorbell.awake_min,
            awake_max: doorbell.awake_max,
            polling_only: !doorbell.enabled,
            ..DoorbellSettings::default()
        }
    }
}

/// As readiness shows it.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Worker => "worker",
        Role::Ingest => "ingest",
        Role::Api => "api",
        Role::Realtime => "realtime",
    }
}

/// A name no other process has, on this machine or another.
fn process_name() -> String {
    let host = nix::unistd::gethostname().map_or_else(
        |_| "unknown".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    format!(
        "{host}-{}-{:04x}",
        std::process::id(),
        rand::random::<u16>()
    )
}
