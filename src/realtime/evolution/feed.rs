//! From the ring of one instance to a socket that is written by somebody else.

use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::close::Close;
use super::super::connection::Connection;
use super::super::protocol;
use super::super::replay::{Broken, Replay};
use super::super::sidecar::{Place, Sidecar};
use super::Lines;
use crate::causes::Causes;

/// How soon a socket that took no more is tried again.
const AGAIN: Duration = Duration::from_millis(10);
/// Frames that may wait to be written.
const QUEUED_MAX: usize = 64;

/// A place in the ring of an instance, given up when it is dropped.
#[derive(Debug)]
pub(in crate::realtime) struct Feed {
    sidecar: Arc<Sidecar>,
    connection: Arc<Connection>,
    replay: Option<Replay>,
}

/// Where events go.
#[derive(Debug, Clone)]
pub(in crate::realtime) struct Sink {
    /// The socket.
    outflow: Outflow,
    /// Cancelled when it is no more.
    pub(super) gone: CancellationToken,
    /// What stands for it where it is fed with several instances, and outlives any of them.
    whole: Option<Arc<Connection>>,
    /// Whoever ends it first says why.
    ended: Arc<Once>,
}

/// Kinds of sockets.
#[derive(Debug, Clone)]
pub(in crate::realtime) enum Outflow {
    /// Socket.IO, and what its connection can be broken by.
    SocketIo(SocketRef, Arc<Lines>),
    /// A WebSocket of ours.
    Socket(Arc<Connection>),
}

/// What came of an event.
enum Offered {
    Taken,
    Full,
    Gone,
}

impl Feed {
    /// Of a connection that is pulled, from a place: what is emitted from now on is not missed.
    pub(in crate::realtime) async fn begin(
        sidecar: &Arc<Sidecar>,
        connection: Arc<Connection>,
        place: &Place,
    ) -> Result<Self, Close> {
        connection.hear(sidecar.clock.now());
        let mut feed = Self {
            sidecar: Arc::clone(sidecar),
            connection,
            replay: None,
        };
        let beginning = sidecar.begin(&feed.connection, place).await?;
        if let Some(told) = (feed.connection.flavor).position(&protocol::position(&beginning)) {
            feed.connection.send(told);
        } else if beginning.gap.is_some() {
            return Err(Close::Expired);
        }
        feed.replay = beginning.replay;
        if feed.replay.is_none() {
            feed.connection.go_live();
        }
        Ok(feed)
    }

    /// Hands over one event after the other until either end is gone.
    pub(in crate::realtime) async fn run(mut self, sink: Sink) {
        loop {
            self.connection.hear(self.sidecar.clock.now());
            let mut frames = self.connection.pull_each();
            if let Some(replay) = self.replay.as_mut().filter(|_| frames.is_empty()) {
                let reading = (&self.sidecar.database, &self.sidecar.pages);
                match replay.next(reading, &self.connection).await {
                    Ok(Some(missed)) => frames = missed,
                    Ok(None) => {
                        self.replay = None;
                        self.connection.go_live();
                        continue;
                    }
                    Err(Broken::Gap) => self.connection.close(Close::Expired),
                    Err(Broken::Away(error)) => {
                        tracing::warn!(error = %Causes(&error), "what a client missed could not be read");
                        self.connection.close(Close::Unavailable);
                    }
                }
            }
            for frame in &frames {
                if !self.hand_over(frame, &sink).await {
                    return;
                }
            }
            if let Some(close) = self.connection.ending() {
                return sink.end(close);
            }
            if frames.is_empty() && self.replay.is_none() {
                tokio::select! {
                    () = self.connection.wake.notified() => {}
                    () = sink.gone.cancelled() => return,
                }
            }
        }
    }

    /// Waits until the socket takes an event. False where it never will. Who takes too long is found out by the pulse.
    async fn hand_over(&self, frame: &Bytes, sink: &Sink) -> bool {
        loop {
            match sink.offer(frame) {
                Offered::Taken => return true,
                Offered::Gone => {
                    sink.gone.cancel();
                    return false;
                }
                Offered::Full => {}
            }
            if let Some(close) = self.connection.ending() {
                sink.end(close);
                return false;
            }
            tokio::select! {
                () = sleep(AGAIN) => {}
                () = sink.gone.cancelled() => return false,
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.sidecar.hub.forget(&self.connection);
    }
}

impl Sink {
    /// A socket; `whole` stands for it where it is fed with several instances.
    pub(in crate::realtime) fn new(
        outflow: Outflow,
        gone: CancellationToken,
        whole: Option<Arc<Connection>>,
    ) -> Self {
        Self {
            outflow,
            gone,
            whole,
            ended: Arc::new(Once::new()),
        }
    }

    fn offer(&self, frame: &Bytes) -> Offered {
        if self.gone.is_cancelled() {
            return Offered::Gone;
        }
        match &self.outflow {
            Outflow::SocketIo(socket, _) => emit(socket, frame),
            Outflow::Socket(connection) if connection.is_ending() => Offered::Gone,
            Outflow::Socket(connection) if connection.queued() >= QUEUED_MAX => Offered::Full,
            Outflow::Socket(connection) => {
                connection.send(frame.clone());
                Offered::Taken
            }
        }
    }

    /// Closes it; not where it is only one of its instances that is no more.
    pub(super) fn end(&self, close: Close) {
        if self.whole.is_none() || close != Close::NoInstance {
            self.ended.call_once(|| self.hang_up(close));
        }
    }

    fn hang_up(&self, close: Close) {
        // Its end first: what wakes it asks why.
        if let Some(whole) = &self.whole {
            whole.close(close);
        }
        self.gone.cancel();
        match &self.outflow {
            Outflow::SocketIo(socket, lines) => {
                // The protocol has no place for a reason; but whoever is told to go stays away. Where there is no room to say
                // so, its next handshake tells it.
                let stays_away = matches!(
                    close,
                    Close::Kicked | Close::Unauthorized | Close::NoInstance
                );
                if !stays_away || socket.clone().disconnect().is_err() {
                    lines.hang_up(socket);
                }
            }
            Outflow::Socket(connection) => connection.close(close),
        }
    }
}

/// Emits a frame of `Flavor::SocketIo`.
fn emit(socket: &SocketRef, frame: &Bytes) -> Offered {
    let parted = std::str::from_utf8(frame)
        .ok()
        .and_then(|text| text.split_once('\0'));
    let Some((name, body)) = parted else {
        return Offered::Taken;
    };
    let Ok(body) = serde_json::from_str::<&RawValue>(body) else {
        return Offered::Taken;
    };
    match socket.emit(name, body) {
        Ok(()) | Err(SendError::Serialize(_)) => Offered::Taken,
        Err(SendError::Socket(SocketError::InternalChannelFull)) => Offered::Full,
        Err(SendError::Socket(SocketError::Closed)) => Offered::Gone,
    }
}
