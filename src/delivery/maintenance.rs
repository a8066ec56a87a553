//! What has to be done now and then, by one worker at a time: retention, sealing, release, the queue's depth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Settings;
use crate::causes::Causes;
use crate::crypto::Keyring;
use crate::db::{Database, Error, answered, duties::Duty};
use crate::metrics::{Metrics, RowStatus};
use crate::model::Channel;

/// How often it is looked what is to be done.
const EVERY: Duration = Duration::from_secs(2);
/// How long the duty is ours without being renewed.
const TTL: Duration = Duration::from_secs(10);
/// How often retention begins a round.
const RETENTION_EVERY: Duration = Duration::from_mins(1);
/// How long one turn of retention may take; the rest is for the next turn.
const RETENTION_TURN: Duration = Duration::from_millis(500);

/// The maintenance of one worker process; idle while another one does it.
pub(super) struct Maintenance {
    pub(super) database: Database,
    pub(super) settings: Arc<Settings>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) holder: String,
    /// Where the walk through the queue is; none between rounds.
    pub(super) walk: Option<i64>,
    pub(super) walked_at: Option<Instant>,
    /// Whether it is ours.
    pub(super) on_duty: Arc<AtomicBool>,
}

impl Maintenance {
    /// Runs until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { _ = ticks.tick() => {}, () = stop.cancelled() => break }
            if let Err(error) = answered(self.tick()).await {
                tracing::warn!(error = %Causes(&error), "maintenance cannot do its work; trying again");
                self.metrics
                    .database
                    .errors
                    .of((&error).into())
                    .increment(1);
            }
        }
        if let Err(error) = Duty::release(&self.database, "maintenance", &self.holder).await {
            tracing::debug!(error = %Causes(&error), "the maintenance duty runs out by itself");
        }
    }

    async fn tick(&mut self) -> Result<(), Error> {
        let ours = Duty::hold(&self.database, "maintenance", &self.holder, TTL).await?;
        self.on_duty.store(ours, Ordering::Relaxed);
        if ours {
            self.database.add_up_depth().await?;
            if self.keyring.can_seal() {
                let sealed = self.database.seal_secrets(&self.keyring).await?;
                if sealed > 0 {
                    tracing::info!(secrets = sealed, "sealed secrets that were given in plain");
                }
            }
            let releasing = Instant::now();
            while releasing.elapsed() < RETENTION_TURN && self.database.release_held().await? {}
            let burying = Instant::now();
            while burying.elapsed() < RETENTION_TURN && self.database.bury_deleted().await? {}
            self.retain().await?;
        }
        self.show().await
    }

    /// A turn of retention.
    async fn retain(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        if self.walk.is_none()
            && self
                .walked_at
                .is_some_and(|at| at.elapsed() < RETENTION_EVERY)
        {
            return Ok(());
        }
        let retention = &self.settings.retention;
        // What is not done in this turn is gone on with in the next, not in a minute.
        self.walked_at = None;
        while started.elapsed() < RETENTION_TURN {
            let logs = self
                .database
                .expire_logs(
                    retention.events,
                    retention.attempts,
                    Some(retention.idempotency),
                )
                .await?;
            self.walk = self
                .database
                .expire_deliveries(
                    self.walk.unwrap_or(0),
                    retention.delivered,
                    retention.failed,
                )
                .await?;
            if self.walk.is_none() && !logs {
                self.database.expire_signing_secrets().await?;
                self.database.forget_sealed().await?;
                self.walked_at = Some(Instant::now());
                break;
            }
        }
        Ok(())
    }

    /// Sets the gauges; every process does, so that any of them can be asked.
    async fn show(&self) -> Result<(), Error> {
        let depth = self.database.depth().await?;
        for (status, name) in [
            (RowStatus::Pending, "pending"),
            (RowStatus::Delivered, "delivered"),
            (RowStatus::Failed, "failed"),
        ] {
            let rows: i64 = depth
                .iter()
                .filter(|line| line.status == name && line.channel == "webhook")
                .map(|line| line.rows)
                .sum();
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            self.metrics
                .queue
                .rows
                .of(status, Channel::Webhook)
                .set(rows as f64);
        }
        let health = self.database.table_health().await?;
        self.metrics
            .queue
            .oldest_due_seconds
            .set(health.oldest_due_s.unwrap_or(0.0));
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        self.metrics
            .queue
            .dead_tuples
            .set(health.dead_tuples as f64);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        self.metrics
            .queue
            .held_endpoints
            .set(health.held_endpoints as f64);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        self.metrics
            .queue
            .failing_endpoints
            .set(health.failing_endpoints as f64);
        self.metrics
            .event
            .captured
            .absolute(health.events_written.cast_unsigned());
        self.metrics
            .queue
            .hot_update_ratio
            .set(health.hot_update_ratio.unwrap_or(1.0));
        self.metrics
            .database
            .oldest_transaction_seconds
            .set(health.oldest_transaction_s.unwrap_or(0.0));
        Ok(())
    }
}
