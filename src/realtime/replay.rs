//! What a connection missed: from the ring where it has all of it, else from the table, page by page.
//!
//! Between the cursor `(A, B, i)` and the boundary S lie two stretches, each read by id: what B sees and A does not, above
//! i; then what S sees and B does not. The cursors of their events are of the same form, so a connection that is lost in
//! the middle goes on exactly there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::connection::Connection;
use super::pages::{Pages, Shared};
use super::topic::Entry;
use crate::db::tail::{Cursor, Event, Stem, earliest};
use crate::db::{Database, Error};

/// Frames at once.
const BATCH: usize = 64;

/// Why it ended before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// Events were removed meanwhile.
    Gap,
    /// The database.
    Away(Error),
}

/// What is left to be sent.
#[derive(Debug)]
pub(super) struct Replay {
    halves: VecDeque<Half>,
    /// Read, and not sent yet.
    ready: VecDeque<(Missed, Arc<Stem>)>,
}

/// An event, where it was read to.
#[derive(Debug)]
enum Missed {
    /// In the ring.
    Ring(Arc<Entry>),
    /// On a page, at a place.
    Page(Arc<Shared>, usize),
}

impl Missed {
    /// It. A page that was read is there.
    fn event(&self) -> Option<&Event> {
        match self {
            Self::Ring(entry) => Some(&entry.event),
            Self::Page(page, at) => page.get()?.events.get(*at),
        }
    }
}

/// One of the two stretches, not read to its end.
#[derive(Debug)]
struct Half {
    from: Cursor,
    stem: Arc<Stem>,
}

impl Replay {
    /// From the cursor to the boundary; `missed` is what the ring has, where it has all of it.
    pub(super) fn new(cursor: &Cursor, boundary: &Cursor, missed: Option<Vec<Arc<Entry>>>) -> Self {
        let [first, second] = cursor.stretches_to(boundary);
        let stem = |half: &Cursor| Arc::new(Cursor::stem(half.epoch, &half.before, &half.after));
        let (of_first, of_second) = (stem(&first), stem(&second));
        let Some(mut missed) = missed else {
            let halves = [(first, of_first), (second, of_second)];
            // Between equal snapshots lies nothing.
            let halves = halves
                .into_iter()
                .filter(|(from, _)| from.before != from.after);
            return Self {
                halves: halves.map(|(from, stem)| Half { from, stem }).collect(),
                ready: VecDeque::new(),
            };
        };
        missed.sort_by_key(|entry| (!cursor.after.sees(entry.event.xid), entry.event.id));
        let with_stem = missed.into_iter().map(|entry| {
            let early = cursor.after.sees(entry.event.xid);
            let stem = if early { &of_first } else { &of_second };
            (Missed::Ring(entry), Arc::clone(stem))
        });
        Self {
            halves: VecDeque::new(),
            ready: with_stem.collect(),
        }
    }

    /// From the oldest event that is kept to the boundary.
    pub(super) fn of_all(boundary: &Cursor) -> Self {
        Self::new(&earliest(boundary), boundary, None)
    }

    /// The same end, from the oldest event that is kept.
    pub(super) fn anew(self) -> Option<Self> {
        Some(Self::of_all(&self.end()?))
    }

    /// Where what comes after it begins, while some of it has yet to be read.
    pub(super) fn end(&self) -> Option<Cursor> {
        let last = self.halves.back()?;
        Some(Cursor::at(last.from.epoch, last.from.after.clone()))
    }

    /// Reads the first page of each stretch, so that a gap is known before the client is told where it begins. (Of a
    /// stretch of several pages, the later ones are read when they are sent.)
    pub(super) async fn prepare(
        &mut self,
        (database, pages): (&Database, &Pages),
        instance: i64,
    ) -> Result<(), Broken> {
        let mut left = self.halves.len();
        while !self.halves.is_empty() {
            self.read_page((database, pages), instance).await?;
            if self.halves.len() == left {
                return Ok(());
            }
            left = self.halves.len();
        }
        Ok(())
    }

    /// One page of what has not been read.
    async fn read_page(
        &mut self,
        (database, pages): (&Database, &Pages),
        instance: i64,
    ) -> Result<(), Broken> {
        let Some(half) = self.halves.front_mut() else {
            return Ok(());
        };
        let shared = pages.read(database, instance, &half.from).await?;
        let Some(page) = shared.get() else {
            return Ok(());
        };
        if let Some(last) = page.events.last() {
            half.from.id = last.id;
        }
        let stem = Arc::clone(&half.stem);
        if !page.more {
            self.halves.pop_front();
        }
        let places = 0..page.events.len();
        let missed = places.map(|at| (Missed::Page(Arc::clone(&shared), at), Arc::clone(&stem)));
        self.ready.extend(missed);
        Ok(())
    }

    /// The next frames; none at the end. They may be none of those wanted: then there are no frames, but more to come.
    pub(super) async fn next(
        &mut self,
        reading: (&Database, &Pages),
        connection: &Connection,
    ) -> Result<Option<Vec<Bytes>>, Broken> {
        if self.ready.is_empty() {
            if self.halves.is_empty() {
                return Ok(None);
            }
            self.read_page(reading, connection.topic.instance).await?;
        }
        let count = self.ready.len().min(BATCH);
        let filter = connection.filter();
        let profile = connection.topic.ring().profile().cloned();
        let missed: Vec<(Missed, Arc<Stem>)> = self.ready.drain(..count).collect();
        let mut out = connection.out();
        let frames: Vec<Bytes> = missed
            .iter()
            .filter_map(|(missed, stem)| {
                let event = missed.event().filter(|event| filter.wants(event))?;
                let profile = profile.as_ref()?;
                if let Some(ledger) = &mut out.ledger {
                    // It stops asking before the window is full.
                    ledger.sent(event, stem);
                }
                Some(
                    connection
                        .flavor
                        .frame(event, profile, &stem.cursor(event.id)),
                )
            })
            .collect();
        drop(out);
        connection.count(frames.len(), 0);
        Ok(Some(frames))
    }
}
