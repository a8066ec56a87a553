//! From a request that a door lets in to a session that has begun.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::{Parts, downcast};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::connection::{Outlet, Peer};
use super::evolution::{Everything, Outflow, Sink};
use super::filter::Filter;
use super::flavor::{Flavor, Profile};
use super::hub::Admission;
use super::ledger::Ledger;
use super::protocol;
use super::session::Session;
use super::sidecar::{Place, Sidecar};
use super::wire::handshake::Upgrade;
use super::wire::parse::Parser;
use crate::db::consumers::Consumer;

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
    /// Where it begins.
    pub place: Place,
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

impl Opening {
    /// Once the upgrade is through, a connection that has begun; none where the client left before.
    pub(super) async fn open(self, sidecar: Arc<Sidecar>, upgrade: Upgrade) -> Option<Session> {
        let compressed = upgrade.deflate.is_some();
        let Some(parts) = socket(upgrade.on).await else {
            if let Some(acknowledging) = self.acknowledges {
                let ledger = &acknowledging.ledger;
                sidecar.claims.give_back(&sidecar, ledger).await;
            }
            return None;
        };
        let stream = parts.io.into_inner();
        forget_reader(&stream);
        let outlet = Outlet::Socket(stream);
        let filter = Arc::new(self.filter);
        let (hub, flavor) = (&sidecar.hub, self.flavor);
        let connection = hub.connect(self.instance, self.peer, flavor, (outlet, filter));
        connection.compressed.store(compressed, Ordering::Relaxed);
        connection.hear(sidecar.clock.now());
        hub.turn_away_late(&connection);
        let mut session = Session {
            sidecar: Arc::clone(&sidecar),
            connection: Arc::clone(&connection),
            parser: Parser::new(compressed),
            again: Vec::new(),
            replay: None,
            consumer: self.consumer.map(Box::new),
            left: false,
            gone: None,
            _admission: self.admission,
        };
        if let Some(acknowledging) = self.acknowledges {
            connection.out().ledger = Some(acknowledging.ledger);
            session.again = acknowledging.again;
        }
        if let Some(consumer) = &session.consumer
            && let Some(loser) = sidecar.acks.hold(consumer, connection.id)
        {
            sidecar.hub.close(loser, Close::Replaced);
        }
        if let Some(everything) = self.everything {
            let gone = CancellationToken::new();
            session.gone = Some(gone.clone());
            let outflow = Outflow::Socket(Arc::clone(&connection));
            let sink = Sink::new(outflow, gone, Some(Arc::clone(&connection)));
            sidecar.tasks.spawn("socket feeds", everything.run(sink));
        }
        if session.begin(&self.place).await {
            session.take_in(&parts.read_buf);
        }
        // What is left of the request's buffer goes now, and not with the connection.
        Some(session)
    }
}

/// The connection behind an upgrade, and what was read of it already. None where the client left before.
async fn socket(upgrade: OnUpgrade) -> Option<Parts<TokioIo<TcpStream>>> {
    let parts = downcast::<TokioIo<TcpStream>>(upgrade.await.ok()?);
    if parts.is_err() {
        tracing::error!("an upgraded connection is no TCP stream: it cannot be served");
    }
    parts.ok()
}

/// A socket remembers whom to wake when there is something to read: so far the task that has read the request. That one is
/// over, and is kept in memory for as long as anybody might wake it, which was 2 KB of each connection.
fn forget_reader(stream: &TcpStream) {
    let mut nobody = Context::from_waker(Waker::noop());
    let _: Poll<_> = stream.poll_read_ready(&mut nobody);
}

impl Session {
    /// Attaches it. False where that cannot be.
    async fn begin(&mut self, place: &Place) -> bool {
        let beginning = match self.sidecar.begin(&self.connection, place).await {
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
        let told = (self.connection.flavor).position(&protocol::position(&beginning));
        if let Some(told) = told {
            self.connection.send(told);
        } else if beginning.gap.is_some() {
            self.connection.close(Close::Expired);
            return false;
        }
        self.replay = beginning.replay.map(Box::new);
        if self.replay.is_none() {
            self.connection.go_live();
        }
        true
    }
}
