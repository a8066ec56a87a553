//! `GET /ws/:instance`: RyzeAPI's WebSocket. Server to client only; each frame is the webhook's body.
//!
//! Beyond the original, `?resume=1` or `?cursor=…` adds a cursor to each frame, and the second resumes from it.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::caller::{admitted, away, profile, query};
use super::refusal::Refusal;
use super::stream::named_place;
use crate::db::administration::EndpointFilter;
use crate::dialect::Dialect;
use crate::realtime::filter::Filter;
use crate::realtime::flavor::Flavor;
use crate::realtime::session::{self, Opening};
use crate::realtime::sidecar::Sidecar;
use crate::realtime::wire::handshake;

/// Opens a socket.
pub(super) async fn open(
    State(sidecar): State<Arc<Sidecar>>,
    Path(named): Path<String>,
    mut request: Request,
) -> Response {
    let asked = handshake::asked(&mut request);
    let (parts, _) = request.into_parts();
    let opening = match opening(&sidecar, &parts, &named).await {
        Ok(opening) => opening,
        Err(refusal) => return refusal.ryze(),
    };
    match asked {
        Ok(asked) => {
            let response = handshake::accepted(&asked);
            let serving = session::serve(Arc::clone(&sidecar), asked.upgrade, opening);
            sidecar.tasks.spawn("socket", serving);
            response
        }
        Err(problem) => Refusal::Malformed(problem.to_owned()).ryze(),
    }
}

/// By the configuration of the instance's WebSocket.
async fn opening(sidecar: &Arc<Sidecar>, parts: &Parts, named: &str) -> Result<Opening, Refusal> {
    let (instance, peer) = admitted(sidecar, parts, (named, "ryze"), &["token"]).await?;
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
        .admit(instance.id, &peer.token)
        .map_err(Refusal::NoRoom)?;
    Ok(Opening {
        instance: profile(sidecar, &instance),
        peer,
        flavor,
        filter: Filter::new(Dialect::Ryze, configured.events),
        origin,
        consumer: None,
        acknowledges: None,
        admission,
    })
}
