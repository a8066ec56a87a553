//! Durable consumers: who is connected as which, and their positions, kept in memory for a moment and written together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::hub::Hub;
use super::sidecar::Sidecar;
use crate::causes::Causes;
use crate::db::consumers::{Consumer, Position};
use crate::db::{Database, answered};

/// From writing to writing.
const INTERVAL: Duration = Duration::from_millis(100);

/// By instance and name, generation and connection.
type Holders = HashMap<(i64, String), (i64, u64)>;

/// Those who are connected, and what is to be written of them.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// By consumer, how far it is, and whose word that is.
    pending: Mutex<HashMap<Consumer, (u64, String)>>,
    /// One at a time: who waits for it finds everything written that came before. Otherwise a consumer that comes back while
    /// its word is on the way to the database would be given its old place, and that word would count no more.
    writing: tokio::sync::Mutex<()>,
    /// By instance and name, the generation and the connection of those who are connected here.
    holders: Mutex<Holders>,
}

/// Positions on their way to the database. Those that do not arrive are to be written again, also where whoever was about to do
/// it has been given up: a client that hung up while it was being let in.
struct Taken<'a> {
    acks: &'a Acks,
    pending: HashMap<Consumer, (u64, String)>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut waiting = self.acks.pending();
        for (consumer, position) in std::mem::take(&mut self.pending) {
            waiting.entry(consumer).or_insert(position);
        }
    }
}

impl Acks {
    /// A connection is this consumer. Answers with the one that is not, or no more: an earlier one, or the new one itself
    /// where a later one was faster.
    pub(super) fn hold(&self, consumer: &Consumer, connection: u64) -> Option<u64> {
        let mut holders = self.holders();
        let name = (consumer.instance, consumer.name.clone());
        if let Some((generation, _)) = holders.get(&name)
            && *generation > consumer.generation
        {
            return Some(connection);
        }
        let earlier = holders.insert(name, (consumer.generation, connection));
        earlier.map(|(_, connection)| connection)
    }

    /// It is so no more.
    pub(super) fn release(&self, consumer: &Consumer) {
        let mut holders = self.holders();
        let name = (consumer.instance, consumer.name.clone());
        if let Entry::Occupied(held) = holders.entry(name)
            && held.get().0 == consumer.generation
        {
            held.remove();
        }
    }

    /// All who are connected here, each with its connection.
    pub(super) fn held(&self) -> Vec<(Consumer, u64)> {
        let holders = self.holders();
        let all = holders.iter();
        all.map(|((instance, name), (generation, connection))| {
            let consumer = Consumer {
                instance: *instance,
                name: name.clone(),
                generation: *generation,
            };
            (consumer, *connection)
        })
        .collect()
    }

    /// A consumer has everything up to this cursor.
    pub(super) fn acknowledge(&self, consumer: &Consumer, connection: u64, cursor: String) {
        self.pending()
            .insert(consumer.clone(), (connection, cursor));
    }

    /// Writes what there is. What the database does not take stays.
    pub(super) async fn flush(&self, database: &Database, hub: &Hub) {
        let _writing = self.writing.lock().await;
        let mut taken = Taken {
            acks: self,
            pending: std::mem::take(&mut *self.pending()),
        };
        if taken.pending.is_empty() {
            return;
        }
        let positions: Vec<Position<'_>> = taken
            .pending
            .iter()
            .map(|(consumer, (_, cursor))| Position { consumer, cursor })
            .collect();
        match answered(database.save_positions(&positions)).await {
            Ok(saved) => {
                for (consumer, (connection, _)) in std::mem::take(&mut taken.pending) {
                    if !saved.contains(&(consumer.instance, consumer.name.clone())) {
                        hub.close(connection, Close::Replaced);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "positions of consumers could not be written; trying again");
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Consumer, (u64, String)>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
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
