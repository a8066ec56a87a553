//! `GET /v1/instances/:instance/stream`: our own protocol, as a WebSocket or as server-sent events.
//!
//! `?events=a,b` filters. Where to begin: `cursor=…`, `last_event_id=evt_…` (or the header `Last-Event-ID`, which may be
//! either), `since=<RFC 3339>`, `from=earliest`; without any, with the present. `?consumer=<name>` begins where that consumer
//! has acknowledged (the first time, where the rest says), and takes acknowledgements; an earlier connection of the same
//! consumer is closed.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::form_urlencoded;

use super::caller::{admitted, away, query};
use super::refusal::Refusal;
use super::resuming::named_place;
use super::sse;
use crate::db::tail::Origin;
use crate::dialect::Dialect;
use crate::realtime::filter::Filter;
use crate::realtime::flavor::Flavor;
use crate::realtime::opening::Opening;
use crate::realtime::protocol::TYPES_MAX;
use crate::realtime::session;
use crate::realtime::sidecar::{Place, Sidecar};
use crate::realtime::wire::handshake;

/// The header `Last-Event-ID`, where an `EventSource` is none of the browser's own: those can send a token in a header.
const POLYFILLED: &str = "lastEventId";
/// What a query may name.
const NAMES: [&str; 8] = [
    "events",
    "cursor",
    "last_event_id",
    POLYFILLED,
    "since",
    "from",
    "consumer",
    "token",
];

/// Opens a stream.
pub(super) async fn open(
    State(sidecar): State<Arc<Sidecar>>,
    Path(named): Path<String>,
    mut request: Request,
) -> Response {
    let asked = handshake::is_asked(request.headers()).then(|| handshake::asked(&mut request));
    let (parts, _) = request.into_parts();
    let flavor = if asked.is_some() {
        Flavor::Stream
    } else {
        Flavor::Sse
    };
    let asked = match asked.transpose() {
        Ok(asked) => asked.map(|asked| asked.compressed(sidecar.compression)),
        Err(problem) => return Refusal::Malformed(problem.to_owned()).problem(&parts.headers),
    };
    let opening = match opening(&sidecar, &parts, &named, flavor).await {
        Ok(opening) => opening,
        Err(refusal) => return refused(&refusal, flavor, &parts.headers),
    };
    match asked {
        Some(asked) => {
            let response = handshake::accepted(&asked);
            let serving = session::serve(Arc::clone(&sidecar), asked.upgrade, opening);
            sidecar.tasks.spawn("socket", serving);
            response
        }
        None => sse::respond(&sidecar, opening, &parts.headers),
    }
}

/// Not let in. An `EventSource`, which says what it accepts, would never come back after a status of ours; where it may be let
/// in later, it is asked to.
fn refused(refusal: &Refusal, flavor: Flavor, headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    let is_event_source = flavor == Flavor::Sse && accept == Some(b"text/event-stream");
    if is_event_source && refusal.status() == StatusCode::SERVICE_UNAVAILABLE {
        return sse::come_again(&refusal.message(), headers);
    }
    refusal.problem(headers)
}

/// What is asked for, and whether it may be had.
async fn opening(
    sidecar: &Arc<Sidecar>,
    parts: &Parts,
    named: &str,
    flavor: Flavor,
) -> Result<Opening, Refusal> {
    let door = if flavor == Flavor::Sse {
        "sse"
    } else {
        "stream"
    };
    let headers = ["token", "apikey", "x-instance-token"];
    let (instance, peer) = admitted(sidecar, parts, (named, door), &headers).await?;
    check_names(parts)?;
    let list = query(parts, "events").unwrap_or_default();
    let filter = Filter::of_list(Dialect::Postrider, &list);
    if filter.types().len() > TYPES_MAX {
        return Err(Refusal::Malformed(format!(
            "events names at most {TYPES_MAX} types"
        )));
    }
    let mut origin = origin(parts)?;
    let named = query(parts, "consumer");
    if let Some(name) = &named {
        check_consumer(name, flavor)?;
    }
    let admission = sidecar
        .hub
        .admit_in_turn(Some(instance.id), &peer.token)
        .map_err(Refusal::NoRoom)?;
    let mut consumer = None;
    if let Some(name) = named {
        // What an earlier connection acknowledged through this process must be there to be read.
        sidecar.write_acknowledged().await;
        let (taken, cursor) = sidecar
            .database
            .take_consumer(instance.id, &name)
            .await
            .map_err(away)?;
        consumer = Some(taken);
        if let Some(cursor) = cursor.and_then(|text| text.parse().ok()) {
            origin = Some(Origin::Cursor(cursor));
        }
    }
    Ok(Opening {
        instance: sidecar.profile(&instance),
        peer,
        flavor,
        filter,
        place: origin.map_or(Place::Present, Place::Resumed),
        consumer,
        acknowledges: None,
        everything: None,
        admission,
    })
}

/// A misspelt `from` would begin in the present, and skip the past without a word.
fn check_names(parts: &Parts) -> Result<(), Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    match form_urlencoded::parse(query.as_bytes()).find(|(name, _)| !NAMES.contains(&&**name)) {
        None => Ok(()),
        Some((name, _)) => Err(Refusal::Malformed(format!(
            "{name} means nothing here: there are {}",
            NAMES.join(", ")
        ))),
    }
}

/// Whether a consumer may be called so, and acknowledge here.
fn check_consumer(name: &str, flavor: Flavor) -> Result<(), Refusal> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.len() > 100 || !name.bytes().all(good) {
        let problem = "consumer is 1 to 100 letters, digits, dots, dashes or underscores";
        return Err(Refusal::Malformed(problem.to_owned()));
    }
    if flavor == Flavor::Sse {
        let problem = "a consumer acknowledges, and server-sent events go one way: connect a WebSocket, or resume with Last-Event-ID";
        return Err(Refusal::Malformed(problem.to_owned()));
    }
    Ok(())
}

/// Where to begin.
fn origin(parts: &Parts) -> Result<Option<Origin>, Refusal> {
    let header = parts
        .headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    // A browser that reconnects repeats its query: what it has seen since counts.
    let last = header.filter(|last| !last.is_empty()).map(str::to_owned);
    if let Some(last) = last.or_else(|| query(parts, POLYFILLED)) {
        return named_place(&last, "Last-Event-ID").map(Some);
    }
    for name in ["cursor", "last_event_id"] {
        if let Some(value) = query(parts, name) {
            return named_place(&value, name).map(Some);
        }
    }
    if let Some(since) = query(parts, "since") {
        let since = OffsetDateTime::parse(&since, &Rfc3339);
        let problem = "since is a time such as 2026-01-31T12:00:00Z (in a URL, + is written %2B)";
        return since
            .map(|at| Some(Origin::Since(at)))
            .map_err(|_| Refusal::Malformed(problem.to_owned()));
    }
    match query(parts, "from").as_deref() {
        None | Some("now") => Ok(None),
        Some("earliest") => Ok(Some(Origin::Earliest)),
        Some(_) => Err(Refusal::Malformed("from is earliest or now".to_owned())),
    }
}
