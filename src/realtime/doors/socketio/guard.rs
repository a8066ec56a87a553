//! The handshake: who may come in, and what carries the connection.

use std::sync::Arc;

use axum::Json;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use serde_json::json;

use super::super::caller::{Caller, TOKEN_BYTES_MAX, check_origin, query};
use super::super::refusal::{Refusal, with_wait};
use crate::metrics::{Counter, Door};
use crate::realtime::evolution::{HangUp, Line, Lines};
use crate::realtime::sidecar::Sidecar;
use crate::realtime::wire::handshake;

/// Gives a WebSocket to the library, with the request that asked for it.
type Give = Box<dyn Fn(Line<TokioIo<Upgraded>>, axum::http::Request<()>) + Send + Sync>;

/// What stands before the library.
pub(super) struct Guard {
    pub(super) sidecar: Arc<Sidecar>,
    pub(super) lines: Arc<Lines>,
    pub(super) give: Give,
}

/// Lets handshakes in that show a good key, from pages that may.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let origin = parts.headers.get(header::ORIGIN).cloned();
    if check_origin(&guard.sidecar, &parts.headers).is_err() {
        return refusal(StatusCode::FORBIDDEN, "Origin not allowed");
    }
    let response = if parts.method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else if session(&parts).is_some() {
        guard.pass(Request::from_parts(parts, body), next).await
    } else {
        match caller(&guard.sidecar, &parts).await {
            // Here and not where a namespace is opened: a client that is refused there does not come back by itself.
            Ok(caller) => match guard.sidecar.hub.keep_pace() {
                Ok(()) => {
                    parts.extensions.insert(caller);
                    guard.pass(Request::from_parts(parts, body), next).await
                }
                Err(problem) => {
                    let message = Refusal::NoRoom(problem).message();
                    refusal(StatusCode::SERVICE_UNAVAILABLE, &message)
                }
            },
            Err(response) => *response,
        }
    };
    with_origin(response, origin)
}

impl Guard {
    /// What is sent by way of the library, which does not say how much that is.
    fn sent_bytes(&self) -> Counter {
        let realtime = &self.sidecar.hub.metrics.realtime;
        realtime.sent_bytes.of(Door::SocketIo).clone()
    }

    /// Lets a request through. A WebSocket goes through a line of ours.
    async fn pass(self: &Arc<Self>, mut request: Request, next: Next) -> Response {
        let Some(asked) = asks_for_socket(&request)
            .then(|| handshake::asked(&mut request).ok())
            .flatten()
        else {
            // Also what is wrong is answered there.
            let response = next.run(request).await;
            let bytes = response.body().size_hint().exact();
            self.sent_bytes().increment(bytes.unwrap_or(0));
            return response;
        };
        let (mut parts, _) = request.into_parts();
        let hang_up = HangUp::default();
        parts.extensions.insert(hang_up.clone());
        let response = handshake::accepted(&asked);
        let guard = Arc::clone(self);
        self.sidecar.tasks.spawn("socket upgrade", async move {
            // The client may have left meanwhile.
            let Ok(stream) = asked.upgrade.on.await else {
                return;
            };
            let mut line = Line::new(TokioIo::new(stream), hang_up, guard.sent_bytes());
            if let Some(session) = session(&parts) {
                line = line.of_session(&guard.lines, session.to_owned());
            }
            (guard.give)(line, axum::http::Request::from_parts(parts, ()));
        });
        response
    }
}

/// The session that a request belongs to, as the library reads it: what it takes for a handshake must show a key.
fn session(parts: &Parts) -> Option<&str> {
    let mut pairs = parts.uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("sid="))
}

/// Whether the library would make a WebSocket of it.
fn asks_for_socket(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let says = |name: &str, value: &str| {
        url::form_urlencoded::parse(query).any(|pair| pair == (name.into(), value.into()))
    };
    request.method() == Method::GET && says("transport", "websocket") && says("EIO", "4")
}

/// What the key of a handshake is good for.
async fn caller(sidecar: &Sidecar, parts: &Parts) -> Result<Caller, Box<Response>> {
    if sidecar.hub.draining.is_cancelled() || sidecar.tasks.soft().is_cancelled() {
        let message = "Restarting; connect again";
        return Err(Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, message)));
    }
    let in_header = parts
        .headers
        .get("apikey")
        .and_then(|key| key.to_str().ok());
    let shown = in_header.map(|key| key.trim().to_owned());
    let shown = shown
        .filter(|key| !key.is_empty())
        .or_else(|| query(parts, "apikey"));
    let Some(key) = shown else {
        return Err(Box::new(refusal(
            StatusCode::FORBIDDEN,
            "apiKey is required",
        )));
    };
    if key.len() > TOKEN_BYTES_MAX {
        return Err(Box::new(refusal(
            StatusCode::FORBIDDEN,
            "Invalid global token",
        )));
    }
    Caller::of_token(sidecar, &SecretString::from(key))
        .await
        .map_err(|problem| {
            Box::new(match problem {
                Refusal::Unauthorized => refusal(StatusCode::FORBIDDEN, "Invalid global token"),
                _ => refusal(StatusCode::SERVICE_UNAVAILABLE, "Authentication error"),
            })
        })
}

/// As the original refuses a handshake.
fn refusal(status: StatusCode, message: &str) -> Response {
    with_wait((status, Json(json!({"code": 4, "message": message}))).into_response())
}

/// What a browser asks for before it lets a page see the answer.
fn with_origin(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let Some(origin) = origin else {
        return response;
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (header::VARY, "origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "apikey, content-type"),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
