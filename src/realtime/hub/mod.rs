//! The hub: the ring of the latest events, and everybody who is connected.
//!
//! The tail publishes each step here. Its events go, once and for everybody, into the rings of their topics (one for each
//! instance); the writers are told, and write to the followers what is behind them. The rings are bounded together, the
//! oldest event goes first.
//!
//! *Resuming.* A connection is attached at a *boundary*: a snapshot S of the tail up to which all events have been published,
//! and the place in the ring where those after it begin. What lies between its cursor and S is what it missed. The rings
//! have everything that their `floor` does not see, so where the cursor's first snapshot includes the floor they answer
//! without a query; else the table does. The cursor may come from a process that is ahead of us, so a step is waited for
//! that began after the request: its S includes whatever anybody was shown before.

mod admission;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use admission::{Admission, Refusal};

use self::admission::Admitted;
use super::close::Close;
use super::connection::{Connection, Outlet, Peer};
use super::filter::Filter;
use super::flavor::{Flavor, Profile};
use super::topic::{Entry, Topic};
use super::writers::Writers;
use crate::db::tail::{Cursor, Snapshot, Step};
use crate::metrics::{Ending, Metrics};

/// What bounds the hub.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// How many events a connection may be behind.
    pub behind_max: u64,
    /// What the rings may hold, roughly.
    pub ring_bytes_max: usize,
    /// How many events the rings may hold.
    pub ring_events_max: usize,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one instance.
    pub connections_per_instance_max: usize,
    /// Connections by one token.
    pub connections_per_token_max: usize,
    /// Connections let in within a second; 0: as many as come.
    pub accepts_per_second_max: u32,
}

/// Rings and connections. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Hub {
    /// What bounds it.
    pub bounds: Bounds,
    /// Those who write.
    pub(super) writers: Writers,
    topics: RwLock<HashMap<i64, Arc<Topic>>>,
    state: Mutex<State>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    /// Connections that were admitted and are not over.
    admitted: Mutex<Admitted>,
    next_id: AtomicU64,
    /// Somebody waits for a step.
    pub(super) wanted: Notify,
    /// Steps begun and done.
    begun: AtomicU64,
    done: watch::Sender<u64>,
    /// Whether anybody is connected: else nothing needs to be read.
    pub(super) crowd: watch::Sender<usize>,
    /// Closed when the process takes no more connections.
    pub(super) draining: tokio_util::sync::CancellationToken,
    /// To count with.
    pub(super) metrics: Arc<Metrics>,
    /// When the log was last read to its end; none at rest.
    read_at: Mutex<Option<Instant>>,
}

/// Where the tail is, and what the rings have.
#[derive(Debug, Default)]
struct State {
    /// The next event's number.
    sequence: u64,
    /// All events below this number, and no others, does the boundary see.
    boundary: Option<(u64, Cursor)>,
    /// The rings have every event this one does not see.
    floor: Option<Arc<Snapshot>>,
    /// The events in the rings, the oldest first: where, its weight, and the step's later snapshot.
    order: VecDeque<(Arc<Topic>, usize, Arc<Snapshot>)>,
    weight: usize,
}

impl State {
    /// As at first; but numbers go on.
    fn empty(&mut self) {
        for (topic, ..) in self.order.drain(..) {
            topic.ring_mut().pop();
        }
        self.weight = 0;
        self.boundary = None;
        self.floor = None;
    }
}

/// Where a connection was attached.
#[derive(Debug)]
pub struct Attached {
    /// All events that this has read were published before its place in the ring, and no others.
    pub boundary: Cursor,
    /// Of those, the ones in the ring, where the ring has all of them that the cursor has not.
    pub missed: Option<Vec<Arc<Entry>>>,
}

impl Hub {
    /// Empty. [`super::start`] runs what it needs.
    pub(super) fn new(bounds: Bounds, writers: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            writers: Writers::new(writers),
            topics: RwLock::default(),
            state: Mutex::default(),
            connections: Mutex::default(),
            admitted: Mutex::default(),
            next_id: AtomicU64::new(1),
            wanted: Notify::new(),
            begun: AtomicU64::new(0),
            done: watch::Sender::new(0),
            crowd: watch::Sender::new(0),
            draining: tokio_util::sync::CancellationToken::new(),
            metrics,
            read_at: Mutex::default(),
        })
    }

    /// A connection to an instance; it takes nothing from the ring before it is attached and live.
    pub fn connect(
        &self,
        (instance, profile): (i64, Profile),
        peer: Peer,
        flavor: Flavor,
        (outlet, filter): (Outlet, Arc<Filter>),
    ) -> Arc<Connection> {
        let topic = self.topic(instance);
        topic.set_profile(Arc::new(profile));
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let writer = self.writers.of(id);
        let place = (Arc::clone(&topic), writer);
        let connection = Arc::new(Connection::new(id, place, peer, flavor, (outlet, filter)));
        self.connections().insert(id, Arc::clone(&connection));
        if !connection.is_part() {
            let open = &self.metrics.realtime.connections;
            open.of(connection.door).increment(1);
        }
        connection
    }

    /// One that was let in before the process began to end, and connects after all others were told so, is told now.
    pub(super) fn turn_away_late(&self, connection: &Connection) {
        if self.draining.is_cancelled() {
            connection.close(Close::Restart);
        }
    }

    /// Attaches a connection at the present boundary: its events begin there. With the cursor, what the rings have of that
    /// it missed. None before the first step.
    pub fn attach(
        &self,
        connection: &Arc<Connection>,
        cursor: Option<&Cursor>,
    ) -> Option<Attached> {
        let state = self.state();
        let (sequence, boundary) = state.boundary.clone()?;
        let ring = connection.topic.ring();
        let place = ring.place_of(sequence);
        let covered = cursor.zip(state.floor.as_ref()).filter(|(cursor, floor)| {
            cursor.before.includes(floor) && cursor.epoch == boundary.epoch
        });
        let missed = covered.map(|(cursor, _)| {
            let entries = ring.below(sequence);
            let unread = entries.filter(|entry| !cursor.has_read(entry.event.xid, entry.event.id));
            unread.cloned().collect()
        });
        // Everybody else locks what a connection has to send first, and the ring then. Nothing is published meanwhile: the state is held.
        drop(ring);
        connection.place(place);
        connection.topic.follow(Arc::clone(connection));
        Some(Attached { boundary, missed })
    }

    /// Where the tail is, at a boundary.
    pub fn present(&self) -> Option<Cursor> {
        Some(self.state().boundary.as_ref()?.1.clone())
    }

    /// The boundary: all events below this number, and no others, has the cursor behind it.
    pub(super) fn boundary(&self) -> Option<(u64, Cursor)> {
        self.state().boundary.clone()
    }

    /// Waits for a step that begins after this call.
    pub async fn fresh_step(&self) {
        let target = self.begun.load(Ordering::SeqCst) + 1;
        let mut done = self.done.subscribe();
        self.wanted.notify_one();
        // We hold the sender, so waiting cannot fail.
        drop(done.wait_for(|done| *done >= target).await);
    }

    /// A step begins; its number.
    pub(super) fn step_begins(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// A step, whole, has been published.
    pub(super) fn step_done(&self, number: u64) {
        self.note_reading(Some(Instant::now()));
        self.done.send_replace(number);
    }

    /// The log is read to its end at this time; or at rest.
    pub(super) fn note_reading(&self, at: Option<Instant>) {
        *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Shows for how long it has not been.
    pub(super) fn show_delay(&self) {
        let read_at = *self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = read_at.map_or(0.0, |at| at.elapsed().as_secs_f64());
        self.metrics.realtime.tail_behind_seconds.set(behind);
    }

    /// The tail went over events, or skipped them: the rings begin anew, and whoever cannot be given all is told.
    pub(super) fn start_over(&self) {
        self.state().empty();
        for connection in self.everybody() {
            connection.close(Close::Expired);
        }
    }

    /// Empties the rings, if nobody is here. Then nobody is attached before the next step that is published, for there is
    /// no boundary; and nobody comes in meanwhile.
    pub(super) fn rest(&self) -> bool {
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let deserted = admitted.total == 0;
        if deserted {
            self.state().empty();
        }
        deserted
    }

    /// Whether nobody is here, nor on the way in.
    pub(super) fn is_deserted(&self) -> bool {
        *self.crowd.borrow() == 0
    }

    /// Puts events of a step into the rings and tells the writers. The boundary moves when the step is whole.
    pub(super) fn publish(&self, step: &Step, events: Vec<crate::db::tail::Event>, whole: bool) {
        let mut guard = self.state();
        let state = &mut *guard;
        let changed = state
            .boundary
            .as_ref()
            .is_some_and(|(_, boundary)| boundary.epoch != step.epoch);
        if changed || state.floor.is_none() {
            // Of another epoch the rings may have what a crash took back; the table knows.
            state.floor = Some(Arc::clone(&step.before));
        }
        if !events.is_empty() {
            let of_all = Arc::new(Cursor::stem(step.epoch, &step.before, &step.after));
            for event in events {
                let topic = self.topic(event.instance);
                let entry = Entry::new(state.sequence, event, Arc::clone(&of_all));
                state.sequence += 1;
                let weight = entry.weight();
                state.weight += weight;
                topic.ring_mut().push(Arc::new(entry));
                self.writers.tell(&topic);
                state
                    .order
                    .push_back((topic, weight, Arc::clone(&step.after)));
            }
            self.evict(state);
        }
        if whole {
            let cursor = Cursor::at(step.epoch, (*step.after).clone());
            state.boundary = Some((state.sequence, cursor));
        }
        drop(guard);
        self.writers.wake();
    }

    /// Drops the oldest until the bounds hold.
    fn evict(&self, state: &mut State) {
        while state.weight > self.bounds.ring_bytes_max
            || state.order.len() > self.bounds.ring_events_max
        {
            let Some((topic, weight, after)) = state.order.pop_front() else {
                return;
            };
            topic.ring_mut().pop();
            state.weight -= weight;
            state.floor = Some(after);
        }
    }

    /// The topic of an instance.
    fn topic(&self, instance: i64) -> Arc<Topic> {
        let known = self
            .topics
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&instance)
            .cloned();
        known.unwrap_or_else(|| {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            let made = || {
                Arc::new(Topic::new(
                    instance,
                    self.writers.count(),
                    self.bounds.behind_max,
                    Arc::clone(&self.metrics),
                ))
            };
            Arc::clone(topics.entry(instance).or_insert_with(made))
        })
    }

    /// Forgets topics that nobody follows and that have nothing.
    pub(super) fn tidy(&self) {
        // Nobody publishes meanwhile.
        let state = self.state();
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|_, topic| Arc::strong_count(topic) > 1 || !topic.is_idle());
        drop(state);
    }

    /// Everybody who is connected.
    pub fn everybody(&self) -> Vec<Arc<Connection>> {
        self.connections().values().cloned().collect()
    }

    /// The one of this number.
    pub(super) fn connection(&self, id: u64) -> Option<Arc<Connection>> {
        self.connections().get(&id).cloned()
    }

    /// Ends one connection, as an operator. False where there is none of this number.
    pub fn kick(&self, id: u64) -> bool {
        self.close(id, Close::Kicked)
    }

    /// Closes one. False where there is none of this number.
    pub(super) fn close(&self, id: u64, close: Close) -> bool {
        let connection = self.connections().get(&id).cloned();
        connection.is_some_and(|connection| {
            connection.close(close);
            true
        })
    }

    /// It is over.
    pub(super) fn forget(&self, connection: &Connection) {
        connection.over();
        let was_here = self.connections().remove(&connection.id).is_some();
        if was_here && !connection.is_part() {
            let realtime = &self.metrics.realtime;
            realtime.connections.of(connection.door).decrement(1);
            let ending = connection.ending().map_or(Ending::Left, Close::ending);
            realtime.closes.of(ending).increment(1);
        }
        self.writers.tell(&connection.topic);
        self.writers.wake();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
