//! `/socket.io/`: Evolution API's Socket.IO, for its clients as they are.
//!
//! The key stands in the query or the header `apikey` of the handshake. `/<instance>` is a namespace that is there whether or
//! not anything has happened yet; the root namespace hears everything that the key reaches, in global mode, and nothing else.
//! Beyond the original a key opens only its own instance, and no host is let in without one.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use secrecy::SecretString;
use serde_json::json;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use tokio_util::sync::CancellationToken;

use super::caller::{Caller, TOKEN_BYTES_MAX, away, check_origin, profile, query};
use super::refusal::Refusal;
use crate::realtime::close::Close;
use crate::realtime::evolution::{Everything, Feed, NOWHERE, Outflow, Sink, configured};
use crate::realtime::flavor::Flavor;
use crate::realtime::hub::Admission;
use crate::realtime::sidecar::Sidecar;

/// Packets that may wait in one connection.
const PACKETS_MAX: usize = 64;
/// How long a client may take from its handshake to a namespace.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Namespaces that are no instance's take memory until they are swept out.
const NAMESPACES_MAX: usize = 10_000;

/// What a namespace will be fed with, prepared before the client is told that it is connected.
#[derive(Debug)]
enum Prepared {
    One(Feed),
    Everything(Box<Everything>),
    Nothing,
}

/// Handed from the check of a connection to its handler.
type Handed = Arc<Mutex<Option<(Prepared, Admission)>>>;

/// The routes, and what serves them.
pub(super) fn router(sidecar: &Arc<Sidecar>) -> Router {
    let inbound = sidecar.inbound_bytes_max;
    let (service, io) = SocketIo::builder()
        .req_path("/socket.io")
        .max_buffer_size(PACKETS_MAX)
        .max_payload(inbound as u64)
        .ws_max_message_size(inbound)
        .ws_max_frame_size(inbound)
        // Else an idle connection holds 128 KiB.
        .ws_read_buffer_size(4096)
        .connect_timeout(CONNECT_MAX)
        .build_svc();
    let admitting = Arc::clone(sidecar);
    let namespaces = io.clone();
    let admit = move |socket: SocketRef| {
        let (sidecar, namespaces) = (Arc::clone(&admitting), namespaces.clone());
        async move {
            let prepared = prepare(&sidecar, &socket).await;
            if prepared.is_err() {
                sweep(&namespaces);
            }
            socket
                .extensions
                .insert(Handed::new(Mutex::new(Some(prepared?))));
            Ok::<_, Refused>(())
        }
    };
    let serving = Arc::clone(sidecar);
    let serve = move |socket: SocketRef| {
        let sidecar = Arc::clone(&serving);
        async move { serve(&sidecar, socket) }
    };
    io.ns("/", serve.clone().with(admit.clone()));
    io.dyn_ns("/{instance}", serve.with(admit))
        .expect("the pattern of namespaces is a good one");
    let soft = sidecar.tasks.soft().clone();
    sidecar.tasks.spawn("socket.io drain", async move {
        soft.cancelled().await;
        // Clients come back by themselves only where the connection itself is closed.
        io.close().await;
    });
    Router::new()
        .route_service("/socket.io/", service.clone())
        .route_service("/socket.io", service)
        .layer(from_fn_with_state(Arc::clone(sidecar), guard))
}

/// Lets handshakes in that show a good key, from pages that may.
async fn guard(State(sidecar): State<Arc<Sidecar>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let origin = parts.headers.get(header::ORIGIN).cloned();
    if check_origin(&sidecar, &parts.headers).is_err() {
        return refusal(StatusCode::FORBIDDEN, "Origin not allowed");
    }
    let response = if parts.method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else if query(&parts, "sid").is_some() {
        next.run(Request::from_parts(parts, body)).await
    } else {
        match handshake(&sidecar, &parts).await {
            Ok(caller) => {
                parts.extensions.insert(caller);
                next.run(Request::from_parts(parts, body)).await
            }
            Err(response) => *response,
        }
    };
    with_origin(response, origin)
}

/// What the key of a handshake is good for.
async fn handshake(sidecar: &Sidecar, parts: &Parts) -> Result<Caller, Box<Response>> {
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
    (status, Json(json!({"code": 4, "message": message}))).into_response()
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

/// Why a namespace is not opened, as its client reads it.
#[derive(Debug)]
struct Refused(String);

impl Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(match refusal {
            // Also where the instance is there, and not for this key: nobody can probe for names.
            Refusal::NoInstance => "Invalid namespace".to_owned(),
            other => other.message(),
        })
    }
}

impl From<Close> for Refused {
    fn from(close: Close) -> Self {
        Self(close.reason().to_owned())
    }
}

/// Looks whether a client may hear a namespace, and puts it where it misses nothing from now on.
async fn prepare(
    sidecar: &Arc<Sidecar>,
    socket: &SocketRef,
) -> Result<(Prepared, Admission), Refused> {
    let parts = socket.req_parts();
    let caller = parts.extensions.get::<Caller>();
    let caller = caller.ok_or(Refusal::Unauthorized)?;
    let reach = caller.access.reach;
    let peer = caller.clone().peer(parts, "socket.io");
    let admit = |instance: i64| {
        let admitted = sidecar.hub.admit(instance, &caller.access.token);
        admitted.map_err(Refusal::NoRoom)
    };
    let path = socket.ns().trim_matches('/');
    if path.is_empty() {
        let admission = admit(reach.instance.unwrap_or(NOWHERE))?;
        if !sidecar.global_events {
            return Ok((Prepared::Nothing, admission));
        }
        let form = (peer, Flavor::SocketIo);
        let everything = Everything::begin(sidecar, reach, form).await?;
        return Ok((Prepared::Everything(Box::new(everything)), admission));
    }
    let named = percent_decoded(path);
    let instance = caller.instance(sidecar, &named).await?;
    let admission = admit(instance.id)?;
    let filter = configured(sidecar, instance.id).await.map_err(away)?;
    let of_instance = (profile(sidecar, &instance), filter);
    let feed = Feed::begin(sidecar, of_instance, (peer, Flavor::SocketIo), None).await?;
    Ok((Prepared::One(feed), admission))
}

/// A name as it may stand in a URL.
fn percent_decoded(path: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(path.as_bytes());
    let whole = pairs.next().filter(|(_, value)| value.is_empty());
    match whole {
        Some((name, _)) if path.contains('%') && pairs.next().is_none() => name.into_owned(),
        _ => path.to_owned(),
    }
}

/// Serves a namespace of a client.
fn serve(sidecar: &Arc<Sidecar>, socket: SocketRef) {
    let gone = CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    socket.on_fallback(answer);
    let handed = socket.extensions.remove::<Handed>();
    let handed = handed.and_then(|handed| {
        let mut handed = handed.lock().unwrap_or_else(PoisonError::into_inner);
        handed.take()
    });
    let Some((prepared, admission)) = handed else {
        return;
    };
    let sink = Sink {
        outflow: Outflow::SocketIo(socket),
        gone,
        is_shared: matches!(prepared, Prepared::Everything(_)),
    };
    sidecar.tasks.spawn("socket", async move {
        match prepared {
            Prepared::One(feed) => feed.run(sink).await,
            Prepared::Everything(everything) => everything.run(sink).await,
            Prepared::Nothing => sink.gone.cancelled().await,
        }
        drop(admission);
    });
}

/// What clients say. A subscription needs none, for it is in the namespace already; there is nobody to send a node to.
async fn answer(Event(event): Event, TryData(_): TryData<serde_json::Value>, ack: AckSender) {
    let answer = match event.as_str() {
        "subscribe" => json!({"subscribed": true}),
        "sendNode" => json!({"error": "Postrider does not send to WhatsApp"}),
        _ => json!({"error": "unknown event"}),
    };
    // Only whoever asked for an answer gets one.
    drop(ack.send(&answer));
}

/// Keys may ask for any number of namespaces that are none: they are forgotten when there are many.
fn sweep(io: &SocketIo) {
    let namespaces = io.nsps();
    if namespaces.len() < NAMESPACES_MAX {
        return;
    }
    for namespace in namespaces {
        let path = namespace.ns_path().to_owned();
        if path != "/" && namespace.sockets().is_empty() {
            io.delete_ns(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn a_name_may_be_written_as_in_a_url() {
        let check = |path: &str, expected: &str| assert_eq!(percent_decoded(path), expected);
        check("shop", "shop");
        check("my%20shop", "my shop");
        check("a+b", "a+b");
        check("a=b", "a=b");
        check("50%", "50%");
    }
}
