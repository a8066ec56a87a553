//! The worker: it delivers from the original database, and from a copy only once that is adopted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{MissedTickBehavior, interval};

use crate::causes::Causes;
use crate::channels::egress::{Egress, GuardedClient};
use crate::channels::{MediaClient, WallClock, Webhook};
use crate::config::Config;
use crate::crypto::Keyring;
use crate::db::Database;
use crate::db::doorbell::Doorbell;
use crate::db::installation::Identity;
use crate::delivery;
use crate::dialect::Dialect;
use crate::lifecycle::Tasks;
use crate::metrics::Metrics;
use crate::readiness::Condition;

/// How often a copy is looked at again.
const ADOPTION_INTERVAL: Duration = Duration::from_secs(1);

/// Everything a worker is made from.
pub(super) struct Starting {
    /// What is in force.
    pub(super) config: Arc<Config>,
    /// Where this process is reached, unless it is told otherwise.
    pub(super) http_address: SocketAddr,
    /// To run on.
    pub(super) tasks: Tasks,
    /// To count with.
    pub(super) metrics: Arc<Metrics>,
    /// The queue.
    pub(super) database: Database,
    /// What wakes it.
    pub(super) doorbell: Doorbell,
    /// What opens secrets.
    pub(super) keyring: Arc<Keyring>,
    /// This process among all.
    pub(super) name: String,
    /// Whether it delivers.
    pub(super) ready: Condition,
}

impl Starting {
    /// Starts it, unless this database is a copy: then as soon as somebody says that it is the original now.
    pub(super) async fn start(self) -> anyhow::Result<()> {
        let Identity::Copy { adopted_at } = self.database.identity().await? else {
            return self.deliver().await;
        };
        tracing::error!(
            original.adopted_at = %adopted_at,
            "this database is a copy of another one: nothing is delivered from it. If it is the original now, run `postrider adopt`"
        );
        self.ready.unmet("this database is a copy of another one; `postrider adopt` makes it the one that delivers");
        let tasks = self.tasks.clone();
        // A failure ends the process, as it would have at its start.
        tasks.spawn("adoption", async move {
            if self.is_adopted().await {
                tracing::info!("this database has been adopted: delivering from it");
                self.deliver().await?;
            }
            anyhow::Ok(())
        });
        Ok(())
    }

    /// Waits until it is. False when the process ends before.
    async fn is_adopted(&self) -> bool {
        let mut looks = interval(ADOPTION_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let soft = self.tasks.soft();
        while soft.run_until_cancelled(looks.tick()).await.is_some() {
            match self.database.identity().await {
                Ok(Identity::Original) => return true,
                Ok(Identity::Copy { .. }) => {}
                Err(error) => {
                    tracing::debug!(error = %Causes(&error), "could not look whether this database has been adopted");
                }
            }
        }
        false
    }

    /// Delivers.
    async fn deliver(self) -> anyhow::Result<()> {
        let config = &self.config;
        let egress = Egress {
            allow: config.egress.allow.clone(),
            ca_file: config.egress.ca_file.clone(),
            connect_timeout: config.worker.connect_timeout,
        };
        let client = GuardedClient::new(&egress).context("setting up the client for webhooks")?;
        let public_url = config
            .http
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{}", self.http_address));
        let clock = Arc::new(WallClock::default());
        clock.set(self.database.now().await?);
        let media_bytes_max = config.limits.media_bytes_max;
        let media =
            (media_bytes_max > 0).then(|| MediaClient::new(client.clone(), media_bytes_max));
        let mut webhook = Webhook::new(client, clock.clone(), public_url);
        if !config.evolution.expose_token {
            webhook = webhook.without_token(Dialect::Evolution);
        }
        let equipment = delivery::Equipment {
            database: self.database,
            doorbell: self.doorbell,
            keyring: self.keyring,
            webhook: Arc::new(webhook),
            media,
            clock,
            metrics: self.metrics,
        };
        let settings = delivery::Settings::from_config(config, self.name);
        delivery::start(settings, equipment, &self.tasks).await?;
        self.ready.met();
        Ok(())
    }
}
