//! Those who write to the sockets: one task for each core, each with its own connections.
//!
//! A writer is told which topics have something new, and writes to their followers one after the other. A connection costs
//! no task to be woken so, only its write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Written};
use super::topic::Topic;

/// Writes between two looks at whether others want the core.
const STRETCH: usize = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Writers(Vec<Writer>);

/// One of them.
#[derive(Debug)]
struct Writer {
    /// Topics with something new.
    topics: Mutex<Vec<Arc<Topic>>>,
    bell: Notify,
    /// How often it was woken, and up to which time it has written all.
    asked: AtomicU64,
    done: watch::Sender<u64>,
}

impl Writers {
    /// So many.
    pub(super) fn new(count: usize) -> Self {
        let writer = |_| Writer {
            topics: Mutex::default(),
            bell: Notify::new(),
            asked: AtomicU64::new(0),
            done: watch::Sender::new(0),
        };
        Self((0..count.max(1)).map(writer).collect())
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Which one writes to a connection.
    pub(super) fn of(&self, connection: u64) -> usize {
        let count = self.0.len() as u64;
        usize::try_from(connection % count).expect("it is less than their number")
    }

    /// There is something new in a topic.
    pub(super) fn tell(&self, topic: &Arc<Topic>) {
        for (number, writer) in self.0.iter().enumerate() {
            if topic.tell(number) {
                writer.lock().push(Arc::clone(topic));
            }
        }
    }

    /// Those who were told begin.
    pub(super) fn wake(&self) {
        for writer in &self.0 {
            if !writer.lock().is_empty() {
                writer.asked.fetch_add(1, Ordering::SeqCst);
                writer.bell.notify_one();
            }
        }
    }

    /// Waits until everything told so far has been written, as far as the sockets take it.
    pub(super) async fn written(&self) {
        for writer in &self.0 {
            let asked = writer.asked.load(Ordering::SeqCst);
            // We hold the sender, so waiting cannot fail.
            drop(
                writer
                    .done
                    .subscribe()
                    .wait_for(|done| *done >= asked)
                    .await,
            );
        }
    }

    /// Runs one of them.
    pub(super) async fn run(&self, number: usize, end: CancellationToken) {
        let writer = &self.0[number];
        loop {
            tokio::select! {
                () = writer.bell.notified() => {}
                () = end.cancelled() => return,
            }
            let asked = writer.asked.load(Ordering::SeqCst);
            let topics = std::mem::take(&mut *writer.lock());
            for topic in topics {
                write_topic(&topic, number).await;
            }
            writer.done.send_replace(asked);
        }
    }
}

impl Writer {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Topic>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to the followers of a topic, and forgets those that are over.
async fn write_topic(topic: &Topic, number: usize) {
    let followers = topic.followers(number);
    // Whatever comes from now on is told again.
    followers.told.store(false, Ordering::Release);
    let mut at = 0;
    loop {
        {
            let mut connections = followers
                .connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // Others only add to the end, so what was looked at stays in front.
            let end = (at + STRETCH).min(connections.len());
            at = write_stretch(&mut connections, at, end);
            if at >= connections.len() {
                return;
            }
        }
        yield_now().await;
    }
}

/// Writes to some of them; where to go on.
fn write_stretch(connections: &mut Vec<Arc<Connection>>, mut at: usize, mut end: usize) -> usize {
    while at < end {
        if connections[at].write_or_wake() == Written::Over && connections[at].out().closed {
            connections.swap_remove(at);
            end = end.min(connections.len());
        } else {
            at += 1;
        }
    }
    at
}
