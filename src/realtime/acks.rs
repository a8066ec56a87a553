//! Positions of durable consumers: kept in memory for a moment, written together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::hub::Hub;
use super::sidecar::Sidecar;
use crate::causes::Causes;
use crate::db::Database;
use crate::db::consumers::{Consumer, Position};

/// From writing to writing.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is to be written: by consumer, how far it is, and whose word that is.
#[derive(Debug, Default)]
pub(super) struct Acks(Mutex<HashMap<Consumer, (u64, String)>>);

impl Acks {
    /// A consumer has everything up to this cursor.
    pub(super) fn acknowledge(&self, consumer: &Consumer, connection: u64, cursor: String) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.insert(consumer.clone(), (connection, cursor));
    }

    /// Writes what there is. What the database does not take stays.
    pub(super) async fn flush(&self, database: &Database, hub: &Hub) {
        let pending = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return;
        }
        let positions: Vec<Position<'_>> = pending
            .iter()
            .map(|(consumer, (_, cursor))| Position { consumer, cursor })
            .collect();
        match database.save_positions(&positions).await {
            Ok(saved) => {
                for (consumer, (connection, _)) in pending {
                    if !saved.contains(&(consumer.instance, consumer.name.clone())) {
                        hub.close(connection, Close::Replaced);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "positions of consumers could not be written; trying again");
                let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                for (consumer, position) in pending {
                    waiting.entry(consumer).or_insert(position);
                }
            }
        }
    }
}

/// Writes again and again, and a last time at the end: positions of consumers, and what subscriptions have acknowledged.
pub(super) async fn run(sidecar: Arc<Sidecar>, end: CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ended = tokio::select! {
            _ = ticks.tick() => false,
            () = end.cancelled() => true,
        };
        sidecar.acks.flush(&sidecar.database, &sidecar.hub).await;
        sidecar.claims.flush(&sidecar).await;
        if ended {
            return;
        }
    }
}
