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

use super::caller::{Caller, away, check_origin, profile, query, token};
use super::refusal::Refusal;
use super::socketio::{ONE_INSTANCE, Resuming, resumes};
use crate::db::administration::Instance;
use crate::db::tail::Origin;
use crate::dialect::{Dialect, Identity};
use crate::realtime::evolution::{Everything, NOWHERE, configured};
use crate::realtime::filter::Filter;
use crate::realtime::flavor::{Flavor, Profile};
use crate::realtime::opening::Opening;
use crate::realtime::session;
use crate::realtime::sidecar::Sidecar;
use crate::realtime::wire::handshake;

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
    let reach = caller.access.reach;
    let followed = instance(sidecar, &caller, named).await?;
    let resumes = resumes(|name| query(parts, name))?;
    if !matches!(resumes, Resuming::Never) && followed.is_none() {
        return Err(Refusal::Malformed(ONE_INSTANCE.to_owned()));
    }
    let peer = caller.peer(parts, "evolution");
    let of = match &followed {
        Some(instance) => instance.id,
        None => reach.instance.unwrap_or(NOWHERE),
    };
    // Before anything is waited for: while nobody is here the tail rests.
    let admission = sidecar
        .hub
        .admit(of, &peer.token)
        .map_err(Refusal::NoRoom)?;
    // What is emitted once the client is told that it is connected must not be missed.
    let present = sidecar.present().await;
    let present = present.map_err(|_| Refusal::Unavailable)?;
    let (followed, filter, everything) = if let Some(instance) = followed {
        let filter = configured(sidecar, instance.id).await.map_err(away)?;
        (profile(sidecar, &instance), filter, None)
    } else {
        let form = (peer.clone(), Flavor::Evolution);
        let everything = Everything::begin(sidecar, reach, form).await;
        let everything = everything.map_err(|_| Refusal::Unavailable)?;
        let filter = Filter::configured(Dialect::Evolution, None);
        ((NOWHERE, nobody()), filter, Some(everything))
    };
    let (flavor, origin) = match resumes {
        Resuming::From(origin) => (Flavor::EvolutionResume, Some(origin)),
        Resuming::Later => (Flavor::EvolutionResume, None),
        Resuming::Never => (Flavor::Evolution, None),
    };
    let origin = origin.or(Some(Origin::Cursor(present)));
    Ok(Opening {
        instance: followed,
        peer,
        flavor,
        filter,
        origin,
        consumer: None,
        acknowledges: None,
        everything,
        admission,
    })
}

/// What is told of no instance.
fn nobody() -> Profile {
    Profile {
        name: String::new(),
        identity: Identity::default(),
        token: None,
        shows_token: false,
        base_url: String::new(),
    }
}

/// The instance that is to be heard; none where all are.
async fn instance(
    sidecar: &Sidecar,
    caller: &Caller,
    named: Option<&str>,
) -> Result<Option<Arc<Instance>>, Refusal> {
    let reach = caller.access.reach;
    if let Some(named) = named {
        return caller.instance(sidecar, named).await.map(Some);
    }
    if sidecar.global_events {
        return Ok(None);
    }
    if reach.is_account() {
        return Err(Refusal::Malformed(
            "this is the key of an account: name an instance, ?instance=<name>, or set WEBSOCKET_GLOBAL_EVENTS to hear all".to_owned(),
        ));
    }
    let own = sidecar.database.instances_within(reach, 0, 1).await;
    own.map_err(away)?
        .pop()
        .ok_or(Refusal::NoInstance)
        .map(|own| Some(Arc::new(own)))
}
