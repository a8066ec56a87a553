//! Server-sent events, for `EventSource` and `curl`: `id:` is the cursor, `Last-Event-ID` resumes.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use crate::causes::Causes;
use crate::db::tail::Cursor;
use crate::realtime::close::Close;
use crate::realtime::connection::{Connection, Outlet};
use crate::realtime::hub::Admission;
use crate::realtime::opening::Opening;
use crate::realtime::protocol;
use crate::realtime::replay::{Broken, Replay};
use crate::realtime::sidecar::{Place, Sidecar};

/// How long a client that cannot be let in is asked to wait.
const AGAIN_MS: Range<u32> = 1000..3000;

/// A stream being sent. Dropped when its client leaves.
struct Sending {
    sidecar: Arc<Sidecar>,
    connection: Arc<Connection>,
    place: Place,
    /// It has been attached.
    begun: bool,
    replay: Option<Replay>,
    _admission: Admission,
}

/// The response that goes on until either end closes.
pub(super) fn respond(sidecar: &Arc<Sidecar>, opening: Opening, headers: &HeaderMap) -> Response {
    let filter = Arc::new(opening.filter);
    let connection = sidecar.hub.connect(
        opening.instance,
        opening.peer,
        opening.flavor,
        (Outlet::Pulled, filter),
    );
    connection.hear(sidecar.clock.now());
    sidecar.hub.turn_away_late(&connection);
    let sending = Sending {
        sidecar: Arc::clone(sidecar),
        connection,
        place: opening.place,
        begun: false,
        replay: None,
        _admission: opening.admission,
    };
    let body = stream::unfold(sending, |mut sending| async move {
        let bytes = sending.next().await?;
        sending.connection.count(0, bytes.len());
        Some((Ok::<_, Infallible>(bytes), sending))
    });
    streamed(Body::from_stream(body), headers)
}

/// A stream that ends at once and asks its client to come back, not all at the same moment.
pub(super) fn come_again(why: &str, headers: &HeaderMap) -> Response {
    let wait_ms = rand::random_range(AGAIN_MS);
    let said = serde_json::json!({"code": Close::Unavailable.code(), "reason": why});
    let text = format!("retry: {wait_ms}\nevent: close\ndata: {said}\n\n");
    streamed(Body::from(text), headers)
}

/// A response of server-sent events.
fn streamed(body: Body, headers: &HeaderMap) -> Response {
    let mut response = Response::new(body);
    let answer = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies must not wait for more.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        answer.insert(name, HeaderValue::from_static(value));
    }
    // The origin was found good before.
    if let Some(origin) = headers.get(header::ORIGIN) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

impl Sending {
    /// The next piece; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            return Some(self.begin().await);
        }
        loop {
            self.connection.hear(self.sidecar.clock.now());
            if let Some(bytes) = self.connection.pull() {
                return Some(bytes);
            }
            if let Some(close) = self.connection.ending() {
                return self.farewell(close);
            }
            let Some(replay) = &mut self.replay else {
                self.connection.wake.notified().await;
                continue;
            };
            let reading = (&self.sidecar.database, &self.sidecar.pages);
            match replay.next(reading, &self.connection).await {
                Ok(Some(frames)) if frames.is_empty() => {}
                Ok(Some(frames)) => return Some(frames.concat().into()),
                Ok(None) => {
                    self.replay = None;
                    self.connection.go_live();
                }
                Err(Broken::Gap) => match self.tell_gap() {
                    Some(told) => return Some(told),
                    None => self.connection.close(Close::Expired),
                },
                Err(Broken::Away(error)) => {
                    tracing::warn!(error = %Causes(&error), "what a client missed could not be read");
                    self.connection.close(Close::Unavailable);
                }
            }
        }
    }

    /// Attaches it; says where it begins.
    async fn begin(&mut self) -> Bytes {
        let begun = self.sidecar.begin(&self.connection, &self.place).await;
        let beginning = match begun {
            Ok(beginning) => beginning,
            Err(close) => {
                self.connection.close(close);
                return Bytes::from_static(b":\n\n");
            }
        };
        let event = position_event(&beginning.position, &protocol::position(&beginning));
        self.replay = beginning.replay;
        if self.replay.is_none() {
            self.connection.go_live();
        }
        event
    }

    /// Events were removed while it was being given them: it is told so, and goes on with what comes. Were it only cut off, a
    /// browser would come back with the id it had, again and again.
    fn tell_gap(&mut self) -> Option<Bytes> {
        let end = self.replay.take()?.end()?;
        self.connection.go_live();
        Some(position_event(&end, &protocol::gap(end.clone())))
    }

    /// The last words, once.
    fn farewell(&mut self, close: Close) -> Option<Bytes> {
        if self.connection.out().closed {
            return None;
        }
        self.connection.over();
        let (code, reason) = (close.code(), close.reason());
        let said = serde_json::json!({"code": code, "reason": reason});
        Some(format!("event: close\ndata: {said}\n\n").into())
    }
}

/// Where a stream is, as an event. A browser that is cut off comes back with its id.
fn position_event(cursor: &Cursor, said: &str) -> Bytes {
    format!("id: {cursor}\nevent: position\ndata: {said}\n\n").into()
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.sidecar.hub.forget(&self.connection);
    }
}
