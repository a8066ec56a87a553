//! What has yet to be written to a connection, and writing it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::super::close::Close;
use super::super::filter::Filter;
use super::super::ledger::{Ledger, Verdict};
use super::super::topic::Ring;
use super::Connection;

/// Frames in one write.
pub(super) const BATCH: usize = 64;

/// What has yet to be written.
#[derive(Debug)]
pub(in crate::realtime) struct Out {
    /// The place of the next event.
    pub(super) next: u64,
    /// It takes events from the ring; else it is still given what it missed.
    pub(super) live: bool,
    /// The socket takes no more.
    pub(in crate::realtime) blocked: bool,
    /// No event is sent any more.
    pub(in crate::realtime) closing: Option<Close>,
    /// All is over.
    pub(in crate::realtime) closed: bool,
    /// What is left of a frame.
    pub(super) partial: Option<Bytes>,
    /// Frames before the next event: answers, control frames, what was missed.
    pub(super) queue: VecDeque<Bytes>,
    /// What it wants.
    pub(super) filter: Arc<Filter>,
    /// What it has yet to acknowledge, where it acknowledges event by event.
    pub(in crate::realtime) ledger: Option<Box<Ledger>>,
}

/// What came of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::realtime) enum Written {
    /// All there was.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The other end is gone, or has been cut off.
    Over,
}

impl Out {
    /// Nothing yet.
    pub(super) fn new(filter: Arc<Filter>) -> Self {
        Self {
            next: 0,
            live: false,
            blocked: false,
            closing: None,
            closed: false,
            partial: None,
            queue: VecDeque::new(),
            filter,
            ledger: None,
        }
    }

    /// Writes until there is no more, or the socket takes no more.
    pub(super) fn write(&mut self, connection: &Connection, stream: &TcpStream) -> Written {
        loop {
            if self.closed {
                return Written::Over;
            }
            let ring = connection.topic.ring();
            if self.live && self.next < ring.base() && self.closing.is_none() {
                // What comes next is no longer there.
                self.cut(connection);
                continue;
            }
            let from = self.next;
            let written = self.write_batch(connection, stream, &ring);
            self.note(&ring, from, connection);
            match written {
                Ok(true) => {}
                Ok(false) => return Written::All,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Blocked,
                Err(_) => {
                    self.closed = true;
                    connection.wake.notify_one();
                    return Written::Over;
                }
            }
        }
    }

    /// It cannot be given the next event in time.
    fn cut(&mut self, connection: &Connection) {
        self.closing = Some(Close::Slow);
        self.queue.clear();
        self.queue.push_back(Close::Slow.frame());
        connection.wake.notify_one();
    }

    /// Remembers what was sent since, where it is to be acknowledged.
    fn note(&mut self, ring: &Ring, from: u64, connection: &Connection) {
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        let sent = (from..self.next).filter_map(|place| ring.get(place));
        let mut wanted = sent.filter(|entry| self.filter.wants(&entry.event));
        // The first one too many freezes it: of those after it nothing is remembered either.
        let slow = wanted.any(|entry| ledger.sent(&entry.event, &entry.stem) == Verdict::Slow);
        if slow && self.closing.is_none() {
            self.cut(connection);
        }
    }

    /// One vectored write. False when there was nothing to write.
    fn write_batch(
        &mut self,
        connection: &Connection,
        stream: &TcpStream,
        ring: &Ring,
    ) -> io::Result<bool> {
        let mut slices = [IoSlice::new(&[]); BATCH];
        // After each frame of the ring, the place of the next one.
        let mut places = [0_u64; BATCH];
        let mut count = 0;
        for bytes in self.partial.iter().chain(&self.queue).take(BATCH) {
            slices[count] = IoSlice::new(bytes);
            count += 1;
        }
        let from_ring = count;
        let mut place = self.next;
        if self.live
            && self.closing.is_none()
            && let Some(profile) = ring.profile()
        {
            while count < BATCH
                && let Some(entry) = ring.get(place)
            {
                place += 1;
                if self.filter.wants(&entry.event) {
                    slices[count] = IoSlice::new(connection.frame_of(entry, profile));
                    places[count] = place;
                    count += 1;
                }
            }
        }
        if count == 0 {
            self.next = place;
            return Ok(false);
        }
        let mut written = stream.try_write_vectored(&slices[..count])?;
        let bytes = written;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let mut whole = 0;
        while whole < count && written >= slices[whole].len() {
            written -= slices[whole].len();
            whole += 1;
        }
        // One that was begun counts: the rest of it will go as no event.
        let begun = whole >= from_ring && whole < count && written > 0;
        connection.count(whole.saturating_sub(from_ring) + usize::from(begun), bytes);
        if whole == count {
            self.drop_queued(from_ring);
            self.next = place;
            return Ok(true);
        }
        // A frame that was begun is kept in part; one of which nothing was written stays where it is.
        let rest = (written > 0).then_some(written);
        if whole < from_ring {
            let begun = self.drop_queued_but(whole, rest);
            self.partial = begun;
        } else {
            self.drop_queued(from_ring);
            if whole > from_ring {
                self.next = places[whole - 1];
            }
            if let Some(rest) = rest
                && let Some(profile) = ring.profile()
                && let Some(entry) = ring.get(places[whole] - 1)
            {
                self.partial = Some(connection.frame_of(entry, profile).slice(rest..));
                self.next = places[whole];
            }
        }
        Ok(true)
    }

    /// The first frames of the queue have been written, the rest of a frame before them.
    fn drop_queued(&mut self, count: usize) {
        let of_partial = usize::from(count > 0 && self.partial.take().is_some());
        self.queue.drain(..count - of_partial);
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// The same where the next one was written in part: what is left of it.
    fn drop_queued_but(&mut self, whole: usize, rest: Option<usize>) -> Option<Bytes> {
        if whole == 0
            && let Some(partial) = self.partial.take()
        {
            return Some(partial.slice(rest.unwrap_or(0)..));
        }
        self.drop_queued(whole);
        let begun = rest?;
        Some(self.queue.pop_front()?.slice(begun..))
    }

    /// Whether more events wait for it than it may be behind.
    pub(super) fn is_too_far_behind(&self, ring: &Ring, connection: &Connection) -> bool {
        let most = connection.topic.behind_max;
        if !self.live || self.closing.is_some() || ring.end().saturating_sub(self.next) <= most {
            return false;
        }
        let waiting = (self.next..ring.end()).filter_map(|place| ring.get(place));
        let wanted = waiting.filter(|entry| self.filter.wants(&entry.event));
        wanted.count() as u64 > most
    }
}
