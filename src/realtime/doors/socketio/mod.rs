//! `/socket.io/`: Evolution API's Socket.IO, for its clients as they are.
//!
//! The key stands in the query or the header `apikey` of the handshake. `/<instance>` is a namespace that is there whether or
//! not anything has happened yet; the root namespace hears everything that the key reaches, in global mode, and nothing else.
//! Beyond the original a key opens only its own instance, and no host is let in without one. And beyond it a client that asks
//! for it, `?resume=1` or `auth: {resume: true}`, is told in each envelope where it is (`cursor`), and is given what it missed
//! when it comes back with that: `auth: (send) => send({cursor})`.

mod guard;

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use axum::middleware::from_fn_with_state;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use self::guard::{Guard, guard};
use super::caller::{Caller, away, query};
use super::refusal::Refusal;
use super::resuming::{ONE_INSTANCE, Resuming, resumes};
use crate::dialect::Dialect;
use crate::realtime::close::Close;
use crate::realtime::connection::{Outlet, Peer};
use crate::realtime::evolution::{Everything, Feed, Lines, Outflow, Presence, Sink, configured};
use crate::realtime::filter::Filter;
use crate::realtime::flavor::Flavor;
use crate::realtime::hub::Admission;
use crate::realtime::sidecar::{Place, Sidecar};

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
    Everything(Box<Everything>, Presence),
    Nothing(Presence),
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
    let admit = move |socket: SocketRef, TryData(auth): TryData<Value>| {
        let (sidecar, namespaces) = (Arc::clone(&admitting), namespaces.clone());
        async move {
            let prepared = prepare(&sidecar, &socket, auth.ok()).await;
            if prepared.is_err() {
                sweep(&namespaces);
            }
            socket
                .extensions
                .insert(Handed::new(Mutex::new(Some(prepared?))));
            Ok::<_, Refused>(())
        }
    };
    let (tasks, polled) = (sidecar.tasks.clone(), service.clone());
    let lines = Lines::new(Box::new(move |session| {
        let ended = polled.clone().oneshot(end_of(&session));
        tasks.spawn("socket end", async move { drop(ended.await) });
    }));
    let serving = (Arc::clone(sidecar), Arc::clone(&lines));
    let serve = move |socket: SocketRef| {
        let (sidecar, lines) = serving.clone();
        async move { serve(&sidecar, socket, lines) }
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
    let taking = service.clone();
    let before = Arc::new(Guard {
        sidecar: Arc::clone(sidecar),
        lines,
        // A request that is none was answered before.
        give: Box::new(move |line, request| drop(taking.clone().call((line, request)))),
    });
    Router::new()
        .route_service("/socket.io/", service.clone())
        .route_service("/socket.io", service)
        .layer(from_fn_with_state(before, guard))
}

/// What a client says that polls, and leaves.
fn end_of(session: &str) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("/socket.io/?EIO=4&transport=polling&sid={session}"))
        .header(header::CONTENT_TYPE, "text/plain;charset=UTF-8")
        .body(Body::from("1"))
        .expect("an id of a session may stand in a URL")
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
    auth: Option<Value>,
) -> Result<(Prepared, Admission), Refused> {
    let parts = socket.req_parts();
    let resumes = resumes(|name| {
        let said = auth.as_ref().and_then(|auth| auth.get(name));
        // What the client says each time it connects counts, not what its URL said at first.
        match said {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Bool(yes)) => yes.then(|| "1".to_owned()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => query(parts, name),
        }
    })?;
    let caller = parts.extensions.get::<Caller>();
    let caller = caller.ok_or(Refusal::Unauthorized)?;
    let caller = caller.again(sidecar).await?;
    let peer = caller.clone().peer(parts, "socket.io");
    let path = socket.ns().trim_matches('/');
    let is_root = path.is_empty();
    let followed = match is_root {
        true if sidecar.global_events => caller.own(sidecar).await?,
        true => None,
        false => Some(caller.instance(sidecar, &percent_decoded(path)).await?),
    };
    let of = followed.as_ref().map(|instance| instance.id);
    let of = of.or(caller.access.reach.instance);
    let admitted = sidecar.hub.admit(of, &peer.token);
    let admission = admitted.map_err(Refusal::NoRoom)?;
    let Some(instance) = followed else {
        let prepared = prepare_root(sidecar, peer, &resumes).await?;
        return Ok((prepared, admission));
    };
    // In global mode the root hears all that the key reaches, whatever is configured.
    let filter = if is_root {
        Filter::new(Dialect::Evolution, Vec::new())
    } else {
        configured(sidecar, instance.id).await.map_err(away)?
    };
    let (flavor, place) = match resumes {
        Resuming::From(origin) => (Flavor::SocketIoResume, Place::Resumed(origin)),
        Resuming::Later => (Flavor::SocketIoResume, Place::Present),
        Resuming::Never => (Flavor::SocketIo, Place::Present),
    };
    let outlet = (Outlet::Pulled, Arc::new(filter));
    let profile = sidecar.profile(&instance);
    let connection = sidecar.hub.connect(profile, peer, flavor, outlet);
    let feed = Feed::begin(sidecar, connection, &place).await?;
    Ok((Prepared::One(feed), admission))
}

/// The root, for whoever does not hear a single instance there: all of the account's in global mode, else none.
async fn prepare_root(
    sidecar: &Arc<Sidecar>,
    peer: Peer,
    resumes: &Resuming,
) -> Result<Prepared, Refused> {
    if !sidecar.global_events {
        return Ok(Prepared::Nothing(Presence::of(sidecar, peer)));
    }
    if !matches!(resumes, Resuming::Never) {
        return Err(Refusal::Malformed(ONE_INSTANCE.to_owned()).into());
    }
    let presence = Presence::of(sidecar, peer.clone());
    let everything = Everything::begin(sidecar, (peer, Flavor::SocketIo)).await?;
    Ok(Prepared::Everything(Box::new(everything), presence))
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
fn serve(sidecar: &Arc<Sidecar>, socket: SocketRef, lines: Arc<Lines>) {
    let gone = CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    if !socket.connected() {
        // It left before anybody would have heard of it.
        gone.cancel();
    }
    socket.on_fallback(answer);
    let handed = socket.extensions.remove::<Handed>();
    let handed = handed.and_then(|handed| {
        let mut handed = handed.lock().unwrap_or_else(PoisonError::into_inner);
        handed.take()
    });
    let Some((prepared, admission)) = handed else {
        return;
    };
    let whole = match &prepared {
        Prepared::Everything(_, presence) => Some(presence.connection()),
        Prepared::One(_) | Prepared::Nothing(_) => None,
    };
    let sink = Sink::new(Outflow::SocketIo(socket, lines), gone, whole);
    sidecar.tasks.spawn("socket", async move {
        match prepared {
            Prepared::One(feed) => feed.run(sink).await,
            Prepared::Everything(everything, presence) => {
                tokio::join!(everything.run(sink.clone()), presence.run(sink));
            }
            Prepared::Nothing(presence) => presence.run(sink).await,
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
