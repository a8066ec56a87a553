//! A WebSocket from its upgrade to its end: one task, asleep but for what its client sends and what the socket did not take.
//!
//! Nearly all of them are asleep nearly all the time, so what a task does now and then is boxed while it is done: what it
//! holds while it sleeps is its wait, and little else.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::connection::{Connection, Outlet};
use super::flavor::Flavor;
use super::hub::Admission;
use super::opening::Opening;
use super::protocol;
use super::replay::{Broken, Replay};
use super::sidecar::Sidecar;
use super::vzaps;
use super::wire::frame::{PONG, frame};
use super::wire::handshake::Upgrade;
use super::wire::parse::{Message, Parser};
use crate::causes::Causes;
use crate::db::consumers::Consumer;

/// Read at once. On the stack: an idle connection holds no buffer.
const READ_BYTES: usize = 4096;
/// Answers that may wait for a client that does not read them.
const ANSWERS_MAX: usize = 64;
/// How long closing may take.
const CLOSING_MAX: Duration = Duration::from_secs(5);
/// How long a client that is given what it missed may acknowledge nothing.
const ACKNOWLEDGING_MAX: Duration = Duration::from_secs(10);
/// Events that are read at once to be sent once more.
const AGAIN_AT_ONCE: usize = 16;

/// What the task has.
pub(super) struct Session {
    pub(super) sidecar: Arc<Sidecar>,
    pub(super) connection: Arc<Connection>,
    pub(super) parser: Parser,
    /// Events to be sent once more, before the rest.
    pub(super) again: Vec<i64>,
    pub(super) replay: Option<Box<Replay>>,
    pub(super) consumer: Option<Box<Consumer>>,
    /// The other end has closed, or is gone.
    pub(super) left: bool,
    /// Cancelled at its end, where others feed it.
    pub(super) gone: Option<CancellationToken>,
    /// Its place among the connections.
    pub(super) _admission: Admission,
}

/// Serves a socket once its upgrade is through.
pub(super) fn serve(
    sidecar: Arc<Sidecar>,
    upgrade: Upgrade,
    opening: Opening,
) -> impl Future<Output = ()> + Send + 'static {
    // Not an async function, which would keep its arguments to its end.
    let opened = Box::pin(opening.open(sidecar, upgrade));
    async move {
        if let Some(mut session) = opened.await {
            session.run().await;
            Box::pin(session.end()).await;
        }
    }
}

impl Session {
    /// Sends some of the events that were not acknowledged once more.
    async fn send_again(&mut self) {
        let rest = self.again.split_off(self.again.len().min(AGAIN_AT_ONCE));
        let ids = std::mem::replace(&mut self.again, rest);
        let connection = &self.connection;
        let instance = connection.topic.instance;
        match self.sidecar.database.events_by_id(instance, &ids).await {
            Ok(events) => {
                if let Some(ledger) = &mut connection.out().ledger {
                    // Those that are no longer kept cannot be sent, so nobody will acknowledge them.
                    ledger.forget(&ids, &events);
                }
                let profile = connection.topic.ring().profile().cloned();
                let frames = events.iter().zip(profile.iter().cycle());
                let frames =
                    frames.map(|(event, profile)| connection.flavor.frame(event, profile, ""));
                connection.send_all(frames.collect());
            }
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "what a client has not acknowledged could not be read");
                connection.close(Close::Unavailable);
            }
        }
    }

    /// Until either end closes.
    async fn run(&mut self) {
        while !self.left && !self.connection.is_ending() {
            if self.replay.is_some() && self.connection.queued() == 0 {
                Box::pin(self.catch_up()).await;
            } else {
                self.wait().await;
            }
        }
    }

    /// The next of what comes before the present.
    async fn catch_up(&mut self) {
        if !self.again.is_empty() {
            self.send_again().await;
        } else if self.has_room() {
            self.replay_more().await;
        } else if timeout(ACKNOWLEDGING_MAX, self.wait()).await.is_err() {
            // It acknowledges nothing: it will be sent all of this again, but it is not kept waiting.
            self.freeze();
        }
    }

    /// Whether it has acknowledged enough to be sent more of what it missed.
    fn has_room(&self) -> bool {
        let out = self.connection.out();
        out.ledger.as_ref().is_none_or(|ledger| ledger.has_room())
    }

    /// No more is remembered of what it has not acknowledged.
    fn freeze(&self) {
        if let Some(ledger) = &mut self.connection.out().ledger {
            ledger.freeze();
        }
    }

    /// Waits for something to do, and does it.
    async fn wait(&mut self) {
        let connection = Arc::clone(&self.connection);
        let Outlet::Socket(stream) = &connection.outlet else {
            self.left = true;
            return;
        };
        let interest = match (connection.is_blocked(), self.owes_answers()) {
            (true, true) => Interest::WRITABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, _) => Interest::READABLE,
        };
        tokio::select! {
            ready = stream.ready(interest) => match ready {
                Ok(ready) => {
                    if ready.is_writable() && connection.is_blocked() {
                        connection.unblock();
                    }
                    if interest.is_readable() && (ready.is_readable() || ready.is_read_closed()) {
                        self.read(stream);
                    }
                }
                Err(_) => self.left = true,
            },
            () = connection.wake.notified() => {}
        }
    }

    /// It sends and does not read what it is answered: nothing more is read of it until it does.
    fn owes_answers(&self) -> bool {
        self.connection.queued() >= ANSWERS_MAX
    }

    /// The next piece of what it missed.
    async fn replay_more(&mut self) {
        let Some(replay) = &mut self.replay else {
            return;
        };
        let reading = (&self.sidecar.database, &self.sidecar.pages);
        match replay.next(reading, &self.connection).await {
            Ok(Some(frames)) => self.connection.send_all(frames),
            Ok(None) => {
                self.replay = None;
                self.connection.go_live();
            }
            Err(Broken::Gap) if self.connection.out().ledger.is_some() => self.begin_anew(),
            Err(Broken::Gap) => self.tell_gap(),
            Err(Broken::Away(error)) => {
                tracing::warn!(error = %Causes(&error), "what a client missed could not be read");
                self.connection.close(Close::Unavailable);
            }
        }
    }

    /// What it missed is no longer all there, and it cannot be told: it is given what there is.
    fn begin_anew(&mut self) {
        tracing::warn!(
            connection = self.connection.id,
            "events were removed before a client acknowledged them: it goes on with the oldest there is"
        );
        let replay = self.replay.take();
        self.replay = replay.and_then(|replay| replay.anew()).map(Box::new);
        if self.replay.is_none() {
            self.connection.close(Close::Expired);
        }
    }

    /// Events were removed while it was being given what it missed. A client of our own learns from where it can go on.
    fn tell_gap(&self) {
        let present = self.sidecar.hub.present();
        let told = present.and_then(|present| {
            let gap = protocol::gap(present);
            self.connection.flavor.position(&gap)
        });
        if let Some(told) = told {
            self.connection.send(told);
        }
        self.connection.close(Close::Expired);
    }

    /// Reads what has come, into a buffer on the stack: who sends nothing holds none.
    fn read(&mut self, stream: &TcpStream) {
        let mut buffer = [0; READ_BYTES];
        match stream.try_read(&mut buffer) {
            Ok(0) => self.left = true,
            Ok(count) => self.take_in(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.left = true,
        }
    }

    /// Takes in what a client sent.
    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        let mut messages = Vec::new();
        let fed = self
            .parser
            .feed(bytes, self.sidecar.inbound_bytes_max, |message| {
                messages.push(message);
            });
        if !messages.is_empty() {
            self.connection.hear(self.sidecar.clock.now());
        }
        let mut answers = Vec::new();
        for message in messages {
            match message {
                Message::Ping(payload) => answers.push(frame(PONG, &payload)),
                Message::Text(text) => answers.extend(self.obey(&text)),
                Message::Binary(_) | Message::Pong => {}
                Message::Close(code) => {
                    self.answer(answers);
                    self.connection.close(Close::Left(code));
                    // Nothing that comes after it counts.
                    self.left = true;
                    return;
                }
            }
        }
        self.answer(answers);
        if let Err(violation) = fed {
            self.connection
                .close(Close::Protocol(violation.code, violation.reason));
        }
    }

    /// Sends answers. Nothing goes out behind a close frame.
    fn answer(&self, answers: Vec<Bytes>) {
        if !self.connection.is_ending() {
            self.connection.send_all(answers);
        }
    }

    /// Does what a client says, where it has anything to say; the answer.
    fn obey(&self, text: &str) -> Option<Bytes> {
        match self.connection.flavor {
            Flavor::Stream => {
                let consumer = self.consumer.as_deref();
                protocol::obey(&self.sidecar, &self.connection, consumer, text)
            }
            Flavor::Vzaps => {
                let (id, nonce) = vzaps::acknowledged(text)?;
                let mut out = self.connection.out();
                let ledger = out.ledger.as_mut();
                if ledger.is_some_and(|ledger| ledger.acknowledge(id, nonce)) {
                    self.sidecar.claims.changed(&self.connection);
                }
                None
            }
            _ => None,
        }
    }

    /// Gives back what it held, and closes.
    async fn end(mut self) {
        if let Some(gone) = self.gone.take() {
            gone.cancel();
        }
        let sidecar = Arc::clone(&self.sidecar);
        sidecar.claims.leave(&sidecar, &self.connection).await;
        drop(timeout(CLOSING_MAX, self.close()).await);
        self.connection.heard.store(0, Ordering::Relaxed);
        if let Some(consumer) = &self.consumer {
            sidecar.acks.release(consumer);
        }
        sidecar.hub.forget(&self.connection);
    }

    /// Sends what is left, and waits for the other end to close as well.
    async fn close(&mut self) {
        let connection = Arc::clone(&self.connection);
        let Outlet::Socket(stream) = &connection.outlet else {
            return;
        };
        while connection.queued() > 0 && !connection.out().closed {
            if stream.writable().await.is_err() {
                return;
            }
            connection.unblock();
        }
        // Nothing more comes: who waits for the end, as clients do, need not wait for our patience.
        drop(SockRef::from(stream).shutdown(Shutdown::Write));
        while !self.left && !connection.out().closed {
            if stream.readable().await.is_err() {
                return;
            }
            // It answers our close frame, or sends what it had begun, acknowledgements for one: the end comes soon.
            self.read(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::serve;

    /// How large what a function makes is.
    const fn size_of_made<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_holds_less_than_a_kilobyte() {
        let bytes = size_of_made(serve);
        assert!(bytes < 1024, "{bytes}");
    }
}
