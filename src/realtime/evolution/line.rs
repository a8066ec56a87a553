//! The line under a Socket.IO client, for us to hang up.
//!
//! A client that is told "io server disconnect" stays away; one whose connection breaks comes back by itself. The library can
//! only do the former to a single client. So a WebSocket is given to it through a line of ours, which can be made to end; and a
//! client that polls is ended as if it had said so itself: at its next request it finds its session gone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use socketioxide::extract::SocketRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::metrics::Counter;

/// Ends the session of this id of a client that polls.
type EndPolling = Box<dyn Fn(String) + Send + Sync>;

/// By the id of a session: what ends its lines, and how many they are.
type Sessions = HashMap<String, (HangUp, usize)>;

/// The lines of all clients.
pub(in crate::realtime) struct Lines {
    /// Of those that began by polling. The library refuses every line but the first; one that it refuses must not take the
    /// place of the one that serves.
    upgraded: Mutex<Sessions>,
    end_polling: EndPolling,
}

/// What ends a line. That of a WebSocket goes along with the request that opened it.
#[derive(Debug, Clone, Default)]
pub(in crate::realtime) struct HangUp(CancellationToken);

/// A stream that ends when it is told so.
#[derive(Debug)]
pub(in crate::realtime) struct Line<S> {
    stream: S,
    hang_up: HangUp,
    /// Two tasks wait, one to read and one to write: each is woken.
    reading: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    writing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Where it is known by the id of its session.
    known: Option<(Arc<Lines>, String)>,
    /// Counts what is written.
    sent_bytes: Counter,
}

impl Lines {
    /// None yet.
    pub(in crate::realtime) fn new(end_polling: EndPolling) -> Arc<Self> {
        Arc::new(Self {
            upgraded: Mutex::default(),
            end_polling,
        })
    }

    /// Breaks the connection of a client, with all of its namespaces.
    pub(super) fn hang_up(&self, socket: &SocketRef) {
        let session = socket.id.to_string();
        let upgraded = self.upgraded(|upgraded| Some(upgraded.get(&session)?.0.clone()));
        let own = || socket.req_parts().extensions.get::<HangUp>().cloned();
        match upgraded.or_else(own) {
            Some(hang_up) => hang_up.0.cancel(),
            None => (self.end_polling)(session),
        }
    }

    fn upgraded<T>(&self, work: impl FnOnce(&mut Sessions) -> T) -> T {
        let mut upgraded = self.upgraded.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut upgraded)
    }
}

impl Debug for Lines {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl<S> Line<S> {
    /// A stream that this ends, and what to count with.
    pub(in crate::realtime) fn new(stream: S, hang_up: HangUp, sent_bytes: Counter) -> Self {
        Self {
            stream,
            hang_up,
            reading: None,
            writing: None,
            known: None,
            sent_bytes,
        }
    }

    /// That of a session which began by polling.
    pub(in crate::realtime) fn of_session(mut self, lines: &Arc<Lines>, session: String) -> Self {
        self.hang_up = lines.upgraded(|upgraded| {
            let (hang_up, count) = upgraded.entry(session.clone()).or_default();
            *count += 1;
            hang_up.clone()
        });
        self.known = Some((Arc::clone(lines), session));
        self
    }
}

impl<S> Drop for Line<S> {
    fn drop(&mut self) {
        if let Some((lines, session)) = self.known.take() {
            lines.upgraded(|upgraded| {
                if let Entry::Occupied(mut lines) = upgraded.entry(session) {
                    lines.get_mut().1 -= 1;
                    if lines.get().1 == 0 {
                        lines.remove();
                    }
                }
            });
        }
    }
}

impl HangUp {
    /// Whether it is over; else whoever asks is woken when it is.
    fn is_over(
        &self,
        waiting: &mut Option<Pin<Box<WaitForCancellationFutureOwned>>>,
        context: &mut Context<'_>,
    ) -> bool {
        let waiting = waiting.get_or_insert_with(|| Box::pin(self.0.clone().cancelled_owned()));
        waiting.as_mut().poll(context).is_ready()
    }

    /// The same for whoever writes.
    fn stop(
        &self,
        waiting: &mut Option<Pin<Box<WaitForCancellationFutureOwned>>>,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        if self.0.is_cancelled() || self.is_over(waiting, context) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.hang_up.0.is_cancelled() {
            // As if the other end had left.
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut line.stream).poll_read(context, buffer);
        if read.is_pending() && line.hang_up.is_over(&mut line.reading, context) {
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        line.hang_up.stop(&mut line.writing, context)?;
        let written = Pin::new(&mut line.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            line.sent_bytes.increment(*count as u64);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        line.hang_up.stop(&mut line.writing, context)?;
        Pin::new(&mut line.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        line.hang_up.stop(&mut line.writing, context)?;
        Pin::new(&mut line.stream).poll_shutdown(context)
    }
}
