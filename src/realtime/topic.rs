//! One instance's part of the ring: its latest events, and the connections that follow them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::connection::Connection;
use super::flavor::{Flavor, Profile};
use super::wire::deflate;
use crate::db::tail::{Event, Stem};
use crate::metrics::Metrics;

/// An event in the ring, with its frames as far as they have been made.
#[derive(Debug)]
pub struct Entry {
    /// Its number among all events of this process.
    pub sequence: u64,
    /// The event.
    pub event: Event,
    /// The cursors of its step.
    pub(super) stem: Arc<Stem>,
    /// By flavor.
    frames: Frames,
    /// The same compressed, where anybody takes them so.
    compressed: OnceLock<Box<Frames>>,
}

/// By flavor.
type Frames = [OnceLock<Bytes>; Flavor::ALL.len()];

impl Entry {
    /// Without frames.
    pub(super) fn new(sequence: u64, event: Event, stem: Arc<Stem>) -> Self {
        Self {
            sequence,
            event,
            stem,
            frames: Frames::default(),
            compressed: OnceLock::new(),
        }
    }

    /// The frame for everybody of this flavor.
    pub fn frame(&self, flavor: Flavor, profile: &Profile) -> &Bytes {
        self.frames[flavor as usize]
            .get_or_init(|| flavor.frame(&self.event, profile, &self.cursor()))
    }

    /// The same, compressed once for all who take it so.
    pub fn compressed(&self, flavor: Flavor, profile: &Profile) -> &Bytes {
        let frames = self.compressed.get_or_init(Box::default);
        frames[flavor as usize].get_or_init(|| deflate::compressed(self.frame(flavor, profile)))
    }

    /// Where a reader is after it.
    pub fn cursor(&self) -> String {
        self.stem.cursor(self.event.id)
    }

    /// What it counts for in memory: itself and, roughly, two frames.
    pub(super) fn weight(&self) -> usize {
        200 + 3 * self.event.data.len()
    }
}

/// The latest events of one instance. Places count from the first there ever was.
#[derive(Debug, Default)]
pub struct Ring {
    /// The place of the first one that is kept.
    base: u64,
    entries: VecDeque<Arc<Entry>>,
    /// Of the instance; none while nobody asked for it.
    profile: Option<Arc<Profile>>,
}

impl Ring {
    /// The place of the first one that is kept.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The place of the next one.
    pub fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// The one at a place.
    pub fn get(&self, place: u64) -> Option<&Arc<Entry>> {
        let index = usize::try_from(place.checked_sub(self.base)?).ok()?;
        self.entries.get(index)
    }

    /// What envelopes tell of the instance.
    pub fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref()
    }

    /// The place of the first one whose number is not below this.
    pub(super) fn place_of(&self, sequence: u64) -> u64 {
        self.base
            + self
                .entries
                .partition_point(|entry| entry.sequence < sequence) as u64
    }

    /// Those below this number.
    pub(super) fn below(&self, sequence: u64) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries
            .iter()
            .take_while(move |entry| entry.sequence < sequence)
    }

    /// One more.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.entries.push_back(entry);
    }

    /// Drops the oldest.
    pub(super) fn pop(&mut self) -> Option<Arc<Entry>> {
        let oldest = self.entries.pop_front()?;
        self.base += 1;
        Some(oldest)
    }
}

/// An instance's events and followers.
#[derive(Debug)]
pub struct Topic {
    /// The instance.
    pub instance: i64,
    /// How many events a connection may be behind.
    pub(super) behind_max: u64,
    /// To count with.
    pub(super) metrics: Arc<Metrics>,
    ring: RwLock<Ring>,
    /// By writer, so that each has its own.
    followers: Vec<Followers>,
}

/// The followers that one writer writes to.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// Only the writer takes any out.
    pub(super) connections: Mutex<Vec<Arc<Connection>>>,
    /// The writer has been told.
    pub(super) told: AtomicBool,
}

impl Topic {
    /// Empty.
    pub(super) fn new(
        instance: i64,
        writers: usize,
        behind_max: u64,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            instance,
            behind_max,
            metrics,
            ring: RwLock::default(),
            followers: (0..writers).map(|_| Followers::default()).collect(),
        }
    }

    /// To read.
    pub fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To write.
    pub(super) fn ring_mut(&self) -> RwLockWriteGuard<'_, Ring> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What envelopes tell of the instance, from now on, unless something newer is known: look-ups may be a moment old. Frames
    /// that are made stay as they are.
    pub(super) fn set_profile(&self, profile: Arc<Profile>) {
        let known = &mut self.ring_mut().profile;
        if known
            .as_ref()
            .is_none_or(|known| known.changed_at <= profile.changed_at)
        {
            *known = Some(profile);
        }
    }

    /// Those of one writer.
    pub(super) fn followers(&self, writer: usize) -> &Followers {
        &self.followers[writer]
    }

    /// Whether a writer has to be told that there is something new: it has followers here, and was not told yet.
    pub(super) fn tell(&self, writer: usize) -> bool {
        let followers = &self.followers[writer];
        let empty = followers
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty();
        !empty && !followers.told.swap(true, Ordering::AcqRel)
    }

    /// One more follower.
    pub(super) fn follow(&self, connection: Arc<Connection>) {
        let followers = &self.followers[connection.writer];
        followers
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }

    /// Whether nobody follows and nothing is kept.
    pub(super) fn is_idle(&self) -> bool {
        let ring = self.ring();
        let nobody = self.followers.iter().all(|followers| {
            let connections = followers.connections.lock();
            connections
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
        });
        ring.base() == ring.end() && nobody
    }
}
