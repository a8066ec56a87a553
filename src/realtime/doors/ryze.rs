//! `GET /ws/:instance`: RyzeAPI's WebSocket. Server to client only; each frame is the webhook's body.
//!
//! Beyond the original, `?resume=1` or `?cursor=…` adds a cursor to each frame, and the second resumes from it.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::response::Response;

use super::caller::{Caller, away, query};
use super::refusal::Refusal;
use super::resuming::named_place;
use crate::db::administration::EndpointFilter;
use crate::dialect::Dialect;
use crate::model::{Allowance, Limit};
use crate::realtime::filter::Filter;
use crate::realtime::flavor::Flavor;
use crate::realtime::opening::Opening;
use crate::realtime::session;
use crate::realtime::sidecar::{Place, Sidecar};
use crate::realtime::wire::handshake::{self, Asked};

/// Opens a socket. Every answer tells how often the token may still come.
pub(super) async fn open(
    State(sidecar): State<Arc<Sidecar>>,
    Path(named): Path<String>,
    mut request: Request,
) -> Response {
    let asked = handshake::asked(&mut request);
    let (parts, _) = request.into_parts();
    let (response, allowance) = match Caller::find(&sidecar, &parts, &["token"]).await {
        // Nobody was counted: the limit is whole.
        Err(refusal) => {
            let resets_at = sidecar.minutes.next(&sidecar.database).await;
            let whole = resets_at.map(|resets_at| Allowance::whole(Limit::RYZE, resets_at));
            (refusal.ryze(), whole)
        }
        Ok(caller) => match sidecar
            .database
            .count_within(&caller.access, Limit::RYZE)
            .await
        {
            Err(error) => (away(error).ryze(), None),
            Ok(allowance) if !allowance.within => (Refusal::TooOften.ryze(), Some(allowance)),
            Ok(allowance) => {
                let response = match opening(&sidecar, &parts, &named, caller).await {
                    Ok(opening) => upgrade(&sidecar, asked, opening),
                    Err(refusal) => refusal.ryze(),
                };
                (response, Some(allowance))
            }
        },
    };
    told(response, allowance)
}

/// The socket, where one is asked for properly.
fn upgrade(
    sidecar: &Arc<Sidecar>,
    asked: Result<Asked, &'static str>,
    opening: Opening,
) -> Response {
    match asked {
        Ok(asked) => {
            let asked = asked.compressed(sidecar.compression);
            let response = handshake::accepted(&asked);
            let serving = session::serve(Arc::clone(sidecar), asked.upgrade, opening);
            sidecar.tasks.spawn("socket", serving);
            response
        }
        Err(problem) => Refusal::Malformed(problem.to_owned()).ryze(),
    }
}

/// `X-RateLimit-*`.
fn told(mut response: Response, allowance: Option<Allowance>) -> Response {
    for (name, value) in allowance.into_iter().flat_map(Allowance::headers) {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, value.into());
    }
    response
}

/// By the configuration of the instance's WebSocket.
async fn opening(
    sidecar: &Arc<Sidecar>,
    parts: &Parts,
    named: &str,
    caller: Caller,
) -> Result<Opening, Refusal> {
    let instance = caller.instance(sidecar, named).await?;
    let peer = caller.peer(parts, "ryze");
    let filter = EndpointFilter {
        dialect: Some("ryze"),
        channel: Some("websocket"),
        ..EndpointFilter::default()
    };
    let configured = sidecar
        .database
        .endpoint_records(&instance, filter)
        .await
        .map_err(away)?;
    let configured = configured
        .into_iter()
        .find(|record| record.state != "disabled");
    let Some(configured) = configured else {
        return Err(Refusal::Malformed(format!(
            "WebSocket is not enabled for this instance. Configure it first using POST /api/events/websocket/{}",
            instance.name
        )));
    };
    let cursor = query(parts, "cursor");
    let origin = cursor
        .map(|cursor| named_place(&cursor, "cursor"))
        .transpose()?;
    let resumes = origin.is_some() || query(parts, "resume").is_some_and(|value| value != "0");
    let flavor = match (configured.media_base64, resumes) {
        (false, false) => Flavor::Ryze,
        (true, false) => Flavor::RyzeMedia,
        (false, true) => Flavor::RyzeResume,
        (true, true) => Flavor::RyzeMediaResume,
    };
    let admission = sidecar
        .hub
        .admit_in_turn(Some(instance.id), &peer.token)
        .map_err(Refusal::NoRoom)?;
    Ok(Opening {
        instance: sidecar.profile(&instance),
        peer,
        flavor,
        filter: Filter::new(Dialect::Ryze, configured.events),
        place: origin.map_or(Place::Present, Place::Resumed),
        consumer: None,
        acknowledges: None,
        everything: None,
        admission,
    })
}
