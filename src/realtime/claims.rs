//! Subscriptions that acknowledge event by event: taken when a client connects, written down as it acknowledges, given back
//! when it leaves.
//!
//! Nothing in the protocol says which subscription a client is: only whose, and of which events. So those that are alike are
//! told apart by who is connected. Whoever comes may be the client of any that is free, and where none is, of one whose end
//! nobody has noticed yet. It begins, therefore, where none of them has missed anything, and so do those that stay free. One
//! client, which is the rule, goes on exactly where it was; several alike may be sent again what they have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::close::Close;
use super::connection::Connection;
use super::ledger::Ledger;
use super::sidecar::{Place as Beginning, Sidecar};
use crate::causes::Causes;
use crate::db::subscriptions::{Known, LEASE, Place, Subscription};
use crate::db::tail::{Cursor, Origin, Snapshot, earliest};
use crate::db::{Database, Error};

/// From one look to the next while another process may be dead or alive.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From one sign of life to the next.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// What is to be written: by subscription, its claim, where it is, and whether its client has left.
type Pending = HashMap<i64, (Subscription, Place, bool, Option<u64>)>;

/// Those that this process holds.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Connections that have acknowledged something since it was last written.
    changed: Mutex<HashMap<u64, Arc<Connection>>>,
    /// Places that clients have left, not written yet.
    left: Mutex<Vec<(Subscription, Place)>>,
    /// One at a time: who waits for it finds everything written that came before.
    writing: tokio::sync::Mutex<()>,
    /// When we last said that we are alive, and for how many.
    alive: Mutex<(usize, Option<Instant>)>,
}

/// One that was taken for a client.
#[derive(Debug)]
pub(super) struct Taken {
    /// Which, and where it is.
    pub(super) ledger: Ledger,
    /// What is to be sent once more.
    pub(super) unacknowledged: Vec<i64>,
    /// Where to go on then.
    pub(super) place: Beginning,
}

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The instance's private key.
    pub(super) instance: i64,
    /// Who asks for which events.
    pub(super) key: &'a str,
    /// The last event it remembers.
    pub(super) last_event_id: Option<String>,
    /// Where the log is at present.
    pub(super) present: Cursor,
}

impl Claims {
    /// Takes a subscription, once what was acknowledged has been written.
    pub(super) async fn take(
        &self,
        sidecar: &Sidecar,
        wanted: &Wanted<'_>,
    ) -> Result<Taken, Error> {
        let database = &sidecar.database;
        database.keep_sidecar_alive(&sidecar.name).await?;
        loop {
            let known = self.known(sidecar, wanted).await?;
            let place = place(database, wanted, &known).await?;
            let free = known.iter().filter(|known| !known.is_held);
            let free: Vec<Subscription> = free.map(|known| known.subscription).collect();
            let written = Place {
                cursor: place.0.to_string(),
                unacknowledged: place.1.clone(),
            };
            let taken = if free.is_empty() {
                let alike = (wanted.instance, wanted.key);
                let added = database.add_subscription(alike, &written, &sidecar.name);
                Some(added.await?)
            } else {
                database
                    .take_subscription(&free, &written, &sidecar.name)
                    .await?
            };
            // None: others came at the same moment, and took them all.
            if let Some(subscription) = taken {
                self.alive().0 += 1;
                let is_new = known.is_empty() && wanted.last_event_id.is_none();
                let goes_on = if is_new {
                    Beginning::Noted
                } else {
                    Beginning::Resumed
                };
                return Ok(Taken {
                    ledger: Ledger::new(subscription, written),
                    unacknowledged: place.1,
                    place: goes_on(Origin::Cursor(place.0)),
                });
            }
        }
    }

    /// Those that are alike, once it is certain which of them are free: a process that was killed a moment ago still counts as
    /// alive, until it fails to say so again.
    async fn known(&self, sidecar: &Sidecar, wanted: &Wanted<'_>) -> Result<Vec<Known>, Error> {
        let mut first: Option<HashMap<i64, String>> = None;
        let begun = Instant::now();
        loop {
            let known = sidecar
                .database
                .subscriptions(wanted.instance, wanted.key, &sidecar.name)
                .await?;
            let seen = first.get_or_insert_with(|| {
                let elsewhere = known
                    .iter()
                    .filter_map(|known| Some((known.subscription.id, known.elsewhere.clone()?)));
                elsewhere.collect()
            });
            let uncertain = known.iter().any(|known| {
                let then = seen.get(&known.subscription.id);
                then.is_some() && then == known.elsewhere.as_ref()
            });
            if !uncertain || begun.elapsed() > 2 * LEASE {
                return Ok(known);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// A client has acknowledged something.
    pub(super) fn changed(&self, connection: &Arc<Connection>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed
            .entry(connection.id)
            .or_insert_with(|| Arc::clone(connection));
    }

    /// A client has left: whoever comes next goes on there.
    pub(super) async fn leave(&self, sidecar: &Sidecar, connection: &Connection) {
        let ledger = connection.out().ledger.take();
        if let Some(ledger) = ledger {
            self.give_back(sidecar, &ledger).await;
        }
    }

    /// One that was taken is free again.
    pub(super) async fn give_back(&self, sidecar: &Sidecar, ledger: &Ledger) {
        self.left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((ledger.subscription, ledger.place()));
        self.flush(sidecar).await;
        self.alive().0 -= 1;
    }

    /// Says that this process is alive, where that is of interest; then writes what there is. What the database does not take
    /// stays.
    pub(super) async fn flush(&self, sidecar: &Sidecar) {
        let _writing = self.writing.lock().await;
        if let Err(error) = self.say_alive(sidecar).await {
            tracing::warn!(error = %Causes(&error), "the database cannot be told that this process is alive; trying again");
        }
        let pending = self.pending();
        if pending.is_empty() {
            return;
        }
        let places = pending.values();
        let places: Vec<_> = places
            .map(|(subscription, place, left, _)| (*subscription, place.clone(), *left))
            .collect();
        match sidecar.database.save_subscriptions(&places).await {
            Ok(saved) => {
                let lost = pending
                    .iter()
                    .filter(|(id, (.., left, _))| !left && !saved.contains(id));
                for connection in lost.filter_map(|(_, (.., connection))| *connection) {
                    // This process was taken for dead, and another one has the subscription.
                    sidecar.hub.close(connection, Close::Unavailable);
                }
            }
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "what subscriptions have acknowledged could not be written; trying again");
                for (subscription, place, left, connection) in pending.into_values() {
                    if left {
                        let mut waiting = self.left.lock().unwrap_or_else(PoisonError::into_inner);
                        waiting.push((subscription, place));
                    } else if let Some(connection) =
                        connection.and_then(|id| sidecar.hub.connection(id))
                    {
                        self.changed(&connection);
                    }
                }
            }
        }
    }

    /// Everything that waits to be written.
    fn pending(&self) -> Pending {
        let changed =
            std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        let changed = changed.into_values().filter_map(|connection| {
            let out = connection.out();
            let ledger = out.ledger.as_ref()?;
            let of = ledger.subscription;
            Some((of.id, (of, ledger.place(), false, Some(connection.id))))
        });
        let left = left.into_iter();
        let left =
            left.map(|(subscription, place)| (subscription.id, (subscription, place, true, None)));
        // Of one that left and was taken again the old claim is void anyway.
        let mut pending: Pending = left.collect();
        pending.extend(changed);
        pending
    }

    /// While it holds any, and not too often.
    async fn say_alive(&self, sidecar: &Sidecar) -> Result<(), Error> {
        {
            let mut alive = self.alive();
            let (held, said) = *alive;
            if held == 0 || said.is_some_and(|said| said.elapsed() < ALIVE_EVERY) {
                return Ok(());
            }
            alive.1 = Some(Instant::now());
        }
        sidecar.database.keep_sidecar_alive(&sidecar.name).await
    }

    fn alive(&self) -> std::sync::MutexGuard<'_, (usize, Option<Instant>)> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where none of those known has missed anything, and what they have not acknowledged before that.
async fn place(
    database: &Database,
    wanted: &Wanted<'_>,
    known: &[Known],
) -> Result<(Cursor, Vec<i64>), Error> {
    let mut origins: Vec<Origin> = Vec::new();
    for known in known {
        // A place that is none of ours, or not any more, is before everything.
        let cursor = known.cursor.parse();
        origins.push(cursor.map_or(Origin::Earliest, Origin::Cursor));
    }
    // What we know counts, not what the client says: some say for ever what they said at first. Where its own place is not
    // among those that are free, it may be all there is.
    if known.iter().all(|known| known.is_held)
        && let Some(last) = &wanted.last_event_id
    {
        origins.push(Origin::of_event_id(last).unwrap_or(Origin::Earliest));
    }
    let mut cursors = Vec::new();
    for origin in origins {
        let located = database.locate(&origin, &wanted.present).await?;
        cursors.push(located.unwrap_or_else(|_| earliest(&wanted.present)));
    }
    let mut open: Vec<i64> = known
        .iter()
        .flat_map(|known| known.unacknowledged.iter().copied())
        .collect();
    open.sort_unstable();
    open.dedup();
    Ok((oldest(cursors, &wanted.present), open))
}

/// A place from which nothing is missed that any of these has yet to read: that of the only one, or before whatever was still
/// running for one of them.
fn oldest(mut cursors: Vec<Cursor>, present: &Cursor) -> Cursor {
    if cursors.len() < 2 {
        return cursors.pop().unwrap_or_else(|| present.clone());
    }
    let floor = |cursor: &Cursor| cursor.before.xmin();
    let lowest = cursors.iter().map(floor).min().unwrap_or(1);
    let before: Snapshot = cursors.swap_remove(0).before.before(lowest);
    Cursor::at(present.epoch, before)
}
