//! One connection: a place in its topic's ring, and what has to be written beside it.
//!
//! It holds no queue of events: whoever writes takes what is behind it from the ring, all in one vectored write, as far as
//! the socket takes it. What the socket left of a frame is kept as a slice of it. Two write: the writer of its shard, when
//! there is something new, and its own task, when the socket can be written again; a lock is between them.

mod out;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) use out::{Out, Written};

use self::out::BATCH;
use super::close::Close;
use super::filter::Filter;
use super::flavor::{Flavor, Profile};
use super::topic::{Entry, Topic};
use crate::crypto::token::TokenDigest;
use crate::metrics::Door;
use crate::model::Reach;

/// How it leaves.
#[derive(Debug)]
pub enum Outlet {
    /// A WebSocket: frames are written here.
    Socket(TcpStream),
    /// Whoever owns it is woken, and takes what there is.
    Pulled,
    /// The same, for one of the instances that a socket hears. The socket is a connection of its own, and only it counts.
    Part,
}

/// Who is at the other end, for the operator.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The door: stream, sse, ryze …
    pub door: &'static str,
    /// Where from.
    pub address: Option<SocketAddr>,
    /// Which token, by the name that limits and logs know it by.
    pub token: String,
    /// What that reaches.
    pub reach: Reach,
    /// What it is recognised by, to find out whether it is still good; none for one that stands in the configuration.
    pub digest: Option<TokenDigest>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number in this process.
    pub id: u64,
    /// What it follows.
    pub topic: Arc<Topic>,
    /// Who.
    pub peer: Peer,
    /// Its door, as it is counted.
    pub(super) door: Door,
    /// Since when.
    pub(super) since: Instant,
    /// In which form.
    pub flavor: Flavor,
    /// Which writer has it.
    pub(super) writer: usize,
    /// Where it leaves.
    pub(super) outlet: Outlet,
    /// Its client takes compressed messages.
    pub(super) compressed: AtomicBool,
    /// Something for its own task to look at.
    pub(super) wake: Notify,
    /// The tick of the pulse at which it was last heard.
    pub(super) heard: AtomicU32,
    out: Mutex<Out>,
}

impl Connection {
    /// One that takes nothing from the ring yet.
    pub(super) fn new(
        id: u64,
        (topic, writer): (Arc<Topic>, usize),
        peer: Peer,
        flavor: Flavor,
        (outlet, filter): (Outlet, Arc<Filter>),
    ) -> Self {
        Self {
            id,
            topic,
            door: Door::of(peer.door),
            since: Instant::now(),
            peer,
            flavor,
            writer,
            outlet,
            compressed: AtomicBool::new(false),
            wake: Notify::new(),
            heard: AtomicU32::new(0),
            out: Mutex::new(Out::new(filter)),
        }
    }

    /// The frame of an event, as its client takes it.
    fn frame_of<'a>(&self, entry: &'a Entry, profile: &Profile) -> &'a Bytes {
        if self.compressed.load(Ordering::Relaxed) {
            entry.compressed(self.flavor, profile)
        } else {
            entry.frame(self.flavor, profile)
        }
    }

    /// So much has been sent.
    pub(super) fn count(&self, events: usize, bytes: usize) {
        let realtime = &self.topic.metrics.realtime;
        realtime.messages.of(self.door).increment(events as u64);
        realtime.sent_bytes.of(self.door).increment(bytes as u64);
    }

    /// What has yet to be written.
    pub(super) fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its events begin at this place of the ring, once it is [`Connection::go_live`].
    pub(super) fn place(&self, next: u64) {
        self.out().next = next;
    }

    /// From now on it takes its events from the ring.
    pub(super) fn go_live(&self) {
        self.out().live = true;
        self.write_or_wake();
    }

    /// What it wants.
    pub fn filter(&self) -> Arc<Filter> {
        Arc::clone(&self.out().filter)
    }

    /// What it wants from now on.
    pub(super) fn set_filter(&self, filter: Arc<Filter>) {
        self.out().filter = filter;
    }

    /// Sends a frame before the next event.
    pub(super) fn send(&self, frame: Bytes) {
        {
            let mut out = self.out();
            if out.closing.is_some() || out.closed {
                return;
            }
            out.queue.push_back(frame);
        }
        self.write_or_wake();
    }

    /// Sends several, in one write.
    pub(super) fn send_all(&self, frames: Vec<Bytes>) {
        {
            let mut out = self.out();
            if frames.is_empty() || out.closing.is_some() || out.closed {
                return;
            }
            out.queue.extend(frames);
        }
        self.write_or_wake();
    }

    /// Sends where it is, made by `frame`, if that is true: it has been sent everything below this number, and nothing above.
    /// None where its client cannot be told.
    pub(super) fn send_position(&self, sequence: u64, frame: impl FnOnce() -> Option<Bytes>) {
        {
            let mut out = self.out();
            let ring = self.topic.ring();
            let sent_all = out.live && out.next == ring.end() && out.queue.is_empty();
            let last = out.next.checked_sub(1).and_then(|place| ring.get(place));
            let none_above = last.is_none_or(|entry| entry.sequence < sequence);
            if !sent_all || !none_above || out.closing.is_some() {
                return;
            }
            let Some(frame) = frame() else {
                return;
            };
            out.queue.push_back(frame);
        }
        self.write_or_wake();
    }

    /// Whether it is only a part of what its client has.
    pub fn is_part(&self) -> bool {
        matches!(self.outlet, Outlet::Part)
    }

    /// Why it is being closed, if it is.
    pub fn ending(&self) -> Option<Close> {
        self.out().closing
    }

    /// Whether it is being closed, or over.
    pub(super) fn is_ending(&self) -> bool {
        let out = self.out();
        out.closing.is_some() || out.closed
    }

    /// Begins to close. A frame that was begun is finished before; nothing else is sent.
    pub fn close(&self, close: Close) {
        {
            let mut out = self.out();
            if out.closing.is_some() || out.closed {
                return;
            }
            out.queue.clear();
            if let Outlet::Socket(_) = self.outlet {
                out.queue.push_back(close.frame());
            }
            out.closing = Some(close);
        }
        self.write_or_wake();
        self.wake.notify_one();
    }

    /// It is over: nobody writes to it any more, and the other end is told so.
    pub(super) fn over(&self) {
        let mut out = self.out();
        out.closed = true;
        out.queue = VecDeque::new();
        out.partial = None;
        if let Outlet::Socket(stream) = &self.outlet {
            drop(SockRef::from(stream).shutdown(std::net::Shutdown::Both));
        }
    }

    /// Frames beside the events that wait to be written.
    pub fn waiting(&self) -> usize {
        self.queued()
    }

    /// Frames that wait in its queue.
    pub(super) fn queued(&self) -> usize {
        let out = self.out();
        out.queue.len() + usize::from(out.partial.is_some())
    }

    /// Heard of it.
    pub(super) fn hear(&self, tick: u32) {
        self.heard.store(tick, Ordering::Relaxed);
    }

    /// Writes what there is to a socket; wakes whoever pulls.
    pub(super) fn write_or_wake(&self) -> Written {
        let Outlet::Socket(stream) = &self.outlet else {
            self.wake.notify_one();
            return if self.out().closed {
                Written::Over
            } else {
                Written::All
            };
        };
        let mut out = self.out();
        let written = if out.blocked {
            Written::Blocked
        } else {
            out.write(self, stream)
        };
        if written == Written::Blocked {
            if !out.blocked {
                out.blocked = true;
                self.wake.notify_one();
            }
            if out.is_too_far_behind(&self.topic.ring(), self) {
                drop(out);
                self.close(Close::Slow);
                return Written::Over;
            }
        }
        written
    }

    /// The socket can be written again.
    pub(super) fn unblock(&self) -> Written {
        self.out().blocked = false;
        self.write_or_wake()
    }

    /// Whether its socket took no more.
    pub(super) fn is_blocked(&self) -> bool {
        self.out().blocked
    }

    /// For one that pulls: what there is to send, in one piece; none when there is nothing.
    pub(super) fn pull(&self) -> Option<Bytes> {
        let mut frames = self.pull_each();
        match frames.len() {
            0 => None,
            1 => frames.pop(),
            _ => Some(frames.concat().into()),
        }
    }

    /// The same, frame by frame.
    pub(super) fn pull_each(&self) -> Vec<Bytes> {
        let mut out = self.out();
        let mut frames: Vec<Bytes> = out.queue.drain(..).collect();
        let queued = frames.len();
        let ring = self.topic.ring();
        if out.live && out.closing.is_none() {
            if out.next < ring.base() {
                out.closing = Some(Close::Slow);
            }
            while frames.len() < BATCH
                && let Some(entry) = ring.get(out.next)
            {
                out.next += 1;
                if let Some(profile) = ring.profile().filter(|_| out.filter.wants(&entry.event)) {
                    frames.push(self.frame_of(entry, profile).clone());
                }
            }
        }
        self.count(frames.len() - queued, 0);
        frames
    }

    /// For one that pulls: whether it lags by more than it may.
    pub(super) fn lags(&self) -> bool {
        let out = self.out();
        out.is_too_far_behind(&self.topic.ring(), self)
    }
}
