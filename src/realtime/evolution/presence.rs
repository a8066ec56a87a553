//! A Socket.IO client that is no instance's: one that hears several, or none. It counts as one connection, is listed as one
//! and is ended like any other.

use std::sync::Arc;

use super::super::connection::{Connection, Outlet, Peer};
use super::super::filter::Filter;
use super::super::flavor::{Flavor, Profile};
use super::super::sidecar::Sidecar;
use super::{NOWHERE, Sink};
use crate::dialect::Dialect;

/// What stands for it, until it is dropped. It is fed with nothing.
#[derive(Debug)]
pub(in crate::realtime) struct Presence {
    sidecar: Arc<Sidecar>,
    connection: Arc<Connection>,
}

impl Presence {
    /// Of a client that has been admitted.
    pub(in crate::realtime) fn of(sidecar: &Arc<Sidecar>, peer: Peer) -> Self {
        let nothing = Arc::new(Filter::new(Dialect::Evolution, Vec::new()));
        let connection = sidecar.hub.connect(
            (NOWHERE, Profile::nobody()),
            peer,
            Flavor::SocketIo,
            (Outlet::Pulled, nothing),
        );
        Self {
            sidecar: Arc::clone(sidecar),
            connection,
        }
    }

    /// The connection.
    pub(in crate::realtime) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Until either end closes.
    pub(in crate::realtime) async fn run(self, sink: Sink) {
        loop {
            if let Some(close) = self.connection.ending() {
                return sink.end(close);
            }
            let woken = sink
                .gone
                .run_until_cancelled(self.connection.wake.notified());
            if woken.await.is_none() {
                return;
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.sidecar.hub.forget(&self.connection);
    }
}
