//! A connection on which a script can put bytes that hyper would never send.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What goes out instead of the next response.
pub(super) type Instead = Arc<Mutex<Option<Bytes>>>;

/// A stream whose next write may be replaced.
pub(super) struct Wire<S> {
    pub(super) stream: S,
    pub(super) instead: Instead,
    /// From the replacement on: hyper's own bytes go nowhere.
    pub(super) muted: bool,
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Not in the loop's condition: the lock would be held through its body.
        let take = |instead: &Instead| instead.lock().unwrap().take();
        let mut next = take(&self.instead);
        while let Some(raw) = next {
            self.muted = true;
            let written = match Pin::new(&mut self.stream).poll_write(context, &raw) {
                Poll::Pending => 0,
                Poll::Ready(written) => written?,
            };
            let rest = raw.slice(written..);
            if written == 0 {
                *self.instead.lock().unwrap() = Some(rest);
                return Poll::Pending;
            }
            next = (!rest.is_empty()).then_some(rest);
        }
        if self.muted {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}
