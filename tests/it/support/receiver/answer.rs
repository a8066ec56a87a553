//! What a receiver answers.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Response, StatusCode};

/// One answer. `Answer::ok()`, `Answer::status(503).header("retry-after", "7").after(…)`, `Answer::hang()` …
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) delay: Duration,
    pub(super) kind: Kind,
}

/// What is done once the request was read.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A proper response.
    Response {
        status: StatusCode,
        headers: HeaderMap,
        body: Body,
    },
    /// Nothing, for ever.
    Hang,
    /// The connection is closed without a word.
    Close,
    /// These bytes instead of HTTP, and then the connection is closed. Over HTTP/1.1 only.
    Raw(Bytes),
}

/// The body of a proper response.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Whole(Bytes),
    /// A kilobyte every so often, without end.
    Endless(Duration),
}

impl Answer {
    /// 200 and an empty body.
    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    /// A status and an empty body.
    pub(crate) fn status(status: u16) -> Self {
        Self::of(Kind::Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Body::Whole(Bytes::new()),
        })
    }

    /// Reads the request and never answers.
    pub(crate) fn hang() -> Self {
        Self::of(Kind::Hang)
    }

    /// Reads the request and closes the connection.
    pub(crate) fn close() -> Self {
        Self::of(Kind::Close)
    }

    /// Answers with these bytes, HTTP or not, and closes the connection.
    pub(crate) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::of(Kind::Raw(bytes.into()))
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Kind::Response { headers, .. } = &mut self.kind {
            headers.append(name, value.parse().unwrap());
        }
        self
    }

    /// Gives it a body.
    pub(crate) fn body(self, bytes: impl Into<Bytes>) -> Self {
        self.with_body(Body::Whole(bytes.into()))
    }

    /// Gives it a body without end: a kilobyte every `interval`, or as fast as it is taken.
    pub(crate) fn endless(self, interval: Duration) -> Self {
        self.with_body(Body::Endless(interval))
    }

    /// Waits before it answers.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn of(kind: Kind) -> Self {
        Self {
            delay: Duration::ZERO,
            kind,
        }
    }

    fn with_body(mut self, given: Body) -> Self {
        if let Kind::Response { body, .. } = &mut self.kind {
            *body = given;
        }
        self
    }
}

/// A response's body on the wire.
pub(super) type WireBody = UnsyncBoxBody<Bytes, Infallible>;

/// A response as hyper sends it.
pub(super) fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<WireBody> {
    let body = match body {
        Body::Whole(bytes) => Full::new(bytes).boxed_unsync(),
        Body::Endless(interval) => {
            let chunk = Bytes::from_static(&[b'x'; 1024]);
            let chunks = stream::unfold(chunk, move |chunk| async move {
                tokio::time::sleep(interval).await;
                Some((Ok(Frame::data(chunk.clone())), chunk))
            });
            StreamBody::new(chunks).boxed_unsync()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
