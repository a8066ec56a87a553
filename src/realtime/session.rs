//! A WebSocket from its upgrade to its end: one task, asleep but for what its client sends and what the socket did not take.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::{Parts, downcast};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::connection::{Connection, Outlet, Peer};
use super::evolution::{Everything, Outflow, Sink};
use super::filter::Filter;
use super::flavor::{Flavor, Profile};
use super::hub::Admission;
use super::ledger::Ledger;
use super::protocol;
use super::replay::{Broken, Replay};
use super::sidecar::Sidecar;
use super::vzaps;
use super::wire::frame::{PONG, frame};
use super::wire::handshake::Upgrade;
use super::wire::parse::{Message, Parser};
use crate::causes::Causes;
use crate::db::consumers::Consumer;
use crate::db::tail::Origin;

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

/// A connection as its door lets it in.
#[derive(Debug)]
pub struct Opening {
    /// What it follows: the private key and what envelopes tell of it.
    pub instance: (i64, Profile),
    /// Who.
    pub peer: Peer,
    /// In which form.
    pub flavor: Flavor,
    /// What it wants.
    pub filter: Filter,
    /// Where it begins; none: with the present.
    pub origin: Option<Origin>,
    /// The durable consumer it is.
    pub consumer: Option<Consumer>,
    /// Whether it acknowledges event by event, and what it has not.
    pub acknowledges: Option<Acknowledging>,
    /// Other instances whose events it hears.
    pub(super) everything: Option<Everything>,
    /// Its place among the connections.
    pub admission: Admission,
}

/// A client that acknowledges event by event.
#[derive(Debug)]
pub struct Acknowledging {
    /// What it has yet to acknowledge.
    pub(super) ledger: Box<Ledger>,
    /// Events to be sent once more, before all others.
    pub(super) again: Vec<i64>,
}

/// What the task has.
struct Session {
    sidecar: Arc<Sidecar>,
    connection: Arc<Connection>,
    parser: Parser,
    /// Events to be sent once more, before the rest.
    again: Vec<i64>,
    replay: Option<Replay>,
    consumer: Option<Consumer>,
    /// The other end has closed, or is gone.
    left: bool,
}

/// Serves a socket once its upgrade is through.
pub(super) async fn serve(sidecar: Arc<Sidecar>, upgrade: Upgrade, opening: Opening) {
    let compressed = upgrade.deflate.is_some();
    let Some(parts) = socket(upgrade.on).await else {
        if let Some(acknowledging) = opening.acknowledges {
            sidecar
                .claims
                .give_back(&sidecar, &acknowledging.ledger)
                .await;
        }
        return;
    };
    let outlet = Outlet::Socket(parts.io.into_inner());
    let connection = sidecar.hub.connect(
        opening.instance,
        opening.peer,
        opening.flavor,
        (outlet, Arc::new(opening.filter)),
    );
    connection.compressed.store(compressed, Ordering::Relaxed);
    connection.hear(sidecar.clock.now());
    sidecar.hub.turn_away_late(&connection);
    let mut session = Session {
        sidecar: Arc::clone(&sidecar),
        connection: Arc::clone(&connection),
        parser: Parser::new(compressed),
        again: Vec::new(),
        replay: None,
        consumer: opening.consumer,
        left: false,
    };
    if let Some(acknowledging) = opening.acknowledges {
        connection.out().ledger = Some(acknowledging.ledger);
        session.again = acknowledging.again;
    }
    if let Some(consumer) = &session.consumer
        && let Some(loser) = sidecar.acks.hold(consumer, connection.id)
    {
        sidecar.hub.close(loser, Close::Replaced);
    }
    let gone = CancellationToken::new();
    if let Some(everything) = opening.everything {
        let sink = Sink {
            outflow: Outflow::Socket(Arc::clone(&connection)),
            gone: gone.clone(),
            is_shared: true,
        };
        sidecar.tasks.spawn("socket feeds", everything.run(sink));
    }
    if session.begin(opening.origin.as_ref()).await {
        session.take_in(&parts.read_buf);
        session.run().await;
    }
    gone.cancel();
    sidecar.claims.leave(&sidecar, &connection).await;
    session.end().await;
    if let Some(consumer) = &session.consumer {
        sidecar.acks.release(consumer);
    }
    sidecar.hub.forget(&connection);
    drop(opening.admission);
}

/// The connection behind an upgrade, and what was read of it already. None where the client left before.
async fn socket(upgrade: OnUpgrade) -> Option<Parts<TokioIo<TcpStream>>> {
    let parts = downcast::<TokioIo<TcpStream>>(upgrade.await.ok()?);
    if parts.is_err() {
        tracing::error!("an upgraded connection is no TCP stream: it cannot be served");
    }
    parts.ok()
}

impl Session {
    /// Attaches it. False where that cannot be.
    async fn begin(&mut self, origin: Option<&Origin>) -> bool {
        let beginning = match self.sidecar.begin(&self.connection, origin).await {
            Ok(beginning) => beginning,
            Err(close) => {
                self.connection.close(close);
                return false;
            }
        };
        if let Some(consumer) = &self.consumer
            && beginning.gap.is_none()
        {
            // Its position is where it begins. Else what it was sent, and did not acknowledge, would not come again.
            let position = beginning.position.to_string();
            let (acks, database) = (&self.sidecar.acks, &self.sidecar.database);
            acks.acknowledge(consumer, self.connection.id, position);
            acks.flush(database, &self.sidecar.hub).await;
        }
        if self.connection.flavor == Flavor::Stream {
            self.connection.send(protocol::position_frame(&beginning));
        } else if beginning.gap.is_some() {
            self.connection.close(Close::Expired);
            return false;
        }
        self.replay = beginning.replay;
        if self.replay.is_none() {
            self.connection.go_live();
        }
        true
    }

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
                if !self.again.is_empty() {
                    self.send_again().await;
                } else if self.has_room() {
                    self.replay_more().await;
                } else if timeout(ACKNOWLEDGING_MAX, self.wait()).await.is_err() {
                    // It acknowledges nothing: it will be sent all of this again, but it is not kept waiting.
                    self.freeze();
                }
                continue;
            }
            self.wait().await;
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
        self.replay = self.replay.take().and_then(Replay::anew);
        if self.replay.is_none() {
            self.connection.close(Close::Expired);
        }
    }

    /// Events were removed while it was being given what it missed. A client of our own learns from where it can go on.
    fn tell_gap(&self) {
        let present = self.sidecar.hub.present();
        if let (Flavor::Stream, Some(present)) = (self.connection.flavor, present) {
            self.connection.send(protocol::gap_frame(present));
        }
        self.connection.close(Close::Expired);
    }

    /// Reads what has come.
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
    fn take_in(&mut self, bytes: &[u8]) {
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
                let consumer = self.consumer.as_ref();
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

    /// Sends what is left, and waits a moment for the other end to close as well.
    async fn end(&mut self) {
        let connection = Arc::clone(&self.connection);
        let closing = async {
            let Outlet::Socket(stream) = &connection.outlet else {
                return;
            };
            while self.connection.queued() > 0 && !self.connection.out().closed {
                if stream.writable().await.is_err() {
                    return;
                }
                self.connection.unblock();
            }
            // Nothing more comes: who waits for the end, as clients do, need not wait for our patience.
            drop(SockRef::from(stream).shutdown(Shutdown::Write));
            let mut buffer = [0; READ_BYTES];
            while !self.left && !self.connection.out().closed {
                if stream.readable().await.is_err() {
                    return;
                }
                match stream.try_read(&mut buffer) {
                    Ok(0) => return,
                    // It answers our close frame, or sends what it had begun, acknowledgements for one: the end comes soon.
                    Ok(count) => self.take_in(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        drop(timeout(CLOSING_MAX, closing).await);
        self.connection.heard.store(0, Ordering::Relaxed);
    }
}
