//! A WebSocket at `/`, as Evolution API Lite's documents show it: each frame is the body of a webhook, without `destination`.
//!
//! The key stands in the header `apikey`, `Authorization: Bearer`, `?apikey=` or `?token=`. That of an instance opens its own;
//! that of an account says which, `?instance=…`. In global mode, without it, either hears all that it reaches.
//!
//! Beyond the original, `?resume=1` or `?cursor=…` adds a cursor to each frame of one instance, and the second resumes from it; the
//! first frame then says where it begins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::caller::{Caller, away, check_origin, query, token};
use super::refusal::Refusal;
use super::resuming::{ONE_INSTANCE, Resuming, resumes};
use crate::db::tail::{Cursor, Origin};
use crate::dialect::Dialect;
use crate::realtime::evolution::{Everything, NOWHERE, configured};
use crate::realtime::filter::Filter;
use crate::realtime::flavor::{Flavor, Profile};
use crate::realtime::opening::Opening;
use crate::realtime::session;
use crate::realtime::sidecar::{Place, Sidecar};
use crate::realtime::wire::handshake;

/// What the key of an account is told where it does not say which instance.
const NO_INSTANCE: &str = "this is the key of an account: name an instance, ?instance=<name>, or set WEBSOCKET_GLOBAL_EVENTS to hear all";

/// Opens a socket.
pub(super) async fn open(State(sidecar): State<Arc<Sidecar>>, mut request: Request) -> Response {
    if !handshake::is_asked(request.headers()) {
        return Refusal::evolution_no_route(request.method());
    }
    let asked = match handshake::asked(&mut request) {
        Ok(asked) => asked,
        Err(problem) => return Refusal::Malformed(problem.to_owned()).evolution(""),
    };
    let (parts, _) = request.into_parts();
    let named = query(&parts, "instance");
    let opening = match opening(&sidecar, &parts, named.as_deref()).await {
        Ok(opening) => opening,
        Err(refusal) => return refusal.evolution(&named.unwrap_or_default()),
    };
    let response = handshake::accepted(&asked);
    let serving = session::serve(Arc::clone(&sidecar), asked.upgrade, opening);
    sidecar.tasks.spawn("socket", serving);
    response
}

/// What is asked for, and whether it may be had.
async fn opening(
    sidecar: &Arc<Sidecar>,
    parts: &Parts,
    named: Option<&str>,
) -> Result<Opening, Refusal> {
    check_origin(sidecar, &parts.headers)?;
    let token = token(parts, &["apikey"])
        .or_else(|| query(parts, "apikey").map(Into::into))
        .ok_or(Refusal::Unauthorized)?;
    let caller = Caller::of_token(sidecar, &token).await?;
    let followed = match named {
        Some(named) => Some(caller.instance(sidecar, named).await?),
        None => caller.own(sidecar).await?,
    };
    let resumes = resumes(|name| query(parts, name))?;
    match &followed {
        None if !sidecar.global_events => {
            return Err(Refusal::Malformed(NO_INSTANCE.to_owned()));
        }
        None if !matches!(resumes, Resuming::Never) => {
            return Err(Refusal::Malformed(ONE_INSTANCE.to_owned()));
        }
        _ => {}
    }
    let peer = caller.peer(parts, "evolution");
    // Before anything is waited for: while nobody is here the tail rests.
    let of = followed.as_ref().map(|instance| instance.id);
    let admission = sidecar
        .hub
        .admit_in_turn(of, &peer.token)
        .map_err(Refusal::NoRoom)?;
    // What is emitted once the client is told that it is connected must not be missed.
    let present = sidecar.present().await;
    let present = present.map_err(|_| Refusal::Unavailable)?;
    let (instance, filter, everything) = if let Some(instance) = followed {
        // In global mode a key hears all that it reaches, whatever is configured.
        let hears_all = sidecar.global_events && named.is_none();
        let filter = if hears_all {
            Filter::new(Dialect::Evolution, Vec::new())
        } else {
            configured(sidecar, instance.id).await.map_err(away)?
        };
        (sidecar.profile(&instance), filter, None)
    } else {
        let form = (peer.clone(), Flavor::Evolution);
        let everything = Everything::begin(sidecar, form).await;
        let everything = everything.map_err(|_| Refusal::Unavailable)?;
        // Nothing happens nowhere: what it hears comes from its feeds.
        let filter = Filter::new(Dialect::Evolution, Vec::new());
        ((NOWHERE, Profile::nobody()), filter, Some(everything))
    };
    let (flavor, place) = match resumes {
        Resuming::From(origin) => (Flavor::EvolutionResume, Place::Resumed(origin)),
        Resuming::Later => (Flavor::EvolutionResume, noted(present)),
        Resuming::Never => (Flavor::Evolution, noted(present)),
    };
    Ok(Opening {
        instance,
        peer,
        flavor,
        filter,
        place,
        consumer: None,
        acknowledges: None,
        everything,
        admission,
    })
}

/// From where the log was when it was let in.
fn noted(present: Cursor) -> Place {
    Place::Noted(Origin::Cursor(present))
}
