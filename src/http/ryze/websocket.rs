//! The WebSocket's configuration: one row for an instance. The sidecar reads it when a client connects.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::{DIALECT, fault, find_instance, known_events, shown_events};
use crate::db::administration::{EndpointChanges, EndpointFilter, EndpointRecord, Instance};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// There is one for an instance, and it has no label of its own.
const LABEL: &str = "default";
/// More events than this are nobody's list: there are six.
const EVENTS_MAX: usize = 100;

/// What a WebSocket is to carry.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RyzeWebsocketBody {
    /// Whether clients may connect. False clears the rest; sockets that are open stay so.
    pub(super) enabled: bool,
    /// Which events; none or an empty list: all.
    #[schema(max_items = 100)]
    pub(super) events: Option<Vec<String>>,
    /// Whether media comes as base64.
    pub(super) media_base64: Option<bool>,
}

/// A WebSocket's configuration.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RyzeWebsocket {
    /// Whether clients may connect.
    enabled: bool,
    /// Which events.
    events: Vec<String>,
    /// Whether media comes as base64.
    media_base64: bool,
}

/// A WebSocket's configuration, set or read.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeWebsocketShown {
    /// Always true.
    success: bool,
    /// What was done.
    message: &'static str,
    /// As it is kept.
    websocket: RyzeWebsocket,
}

/// Sets the WebSocket's configuration
#[utoipa::path(post, path = "/api/events/websocket/{instance}", security(("token" = []), ("bearer" = [])),
    request_body = RyzeWebsocketBody,
    params(("instance" = String, Path, description = "The instance's name")),
    responses((status = 200, description = "The configuration as it is kept", body = RyzeWebsocketShown)))]
pub(super) async fn set(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<RyzeWebsocketBody>,
) -> Result<Json<RyzeWebsocketShown>, Fault> {
    check(&body)?;
    let instance = find_instance(&api, &caller, &name).await?;
    let websocket = put(&api, &instance, &body).await?;
    Ok(Json(RyzeWebsocketShown {
        success: true,
        message: "WebSocket configured successfully",
        websocket,
    }))
}

/// Shows the WebSocket's configuration
#[utoipa::path(get, path = "/api/events/getWebsocket/{instance}", security(("token" = []), ("bearer" = [])),
    params(("instance" = String, Path, description = "The instance's name")),
    responses((status = 200, description = "The configuration", body = RyzeWebsocketShown)))]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RyzeWebsocketShown>, Fault> {
    let instance = find_instance(&api, &caller, &name).await?;
    let websocket = read(&api, &instance).await?;
    Ok(Json(RyzeWebsocketShown {
        success: true,
        message: "WebSocket configuration retrieved",
        websocket,
    }))
}

/// Whether all of it can be accepted.
pub(super) fn check(body: &RyzeWebsocketBody) -> Result<(), Fault> {
    let events = body.events.as_deref().unwrap_or_default();
    if events.len() > EVENTS_MAX {
        return Err(fault::refused(format!(
            "events has {} entries; name each of the six events once",
            events.len()
        )));
    }
    known_events(events).map_err(fault::refused)
}

/// Writes the configuration; as it is kept then.
pub(super) async fn put(
    api: &Api,
    instance: &Instance,
    body: &RyzeWebsocketBody,
) -> Result<RyzeWebsocket, Fault> {
    let events = body.events.clone().filter(|_| body.enabled);
    let changes = EndpointChanges {
        instance: &instance.sql_name,
        label: LABEL,
        channel: "websocket",
        dialect: DIALECT,
        state: Some(if body.enabled { "enabled" } else { "disabled" }),
        events: Some(events.unwrap_or_default()),
        media_base64: Some(body.enabled && body.media_base64.unwrap_or(false)),
        ..EndpointChanges::default()
    };
    api.database.set_endpoint(&changes, &api.keyring).await?;
    read(api, instance).await
}

/// The configuration as it is kept; 404 where it was never set.
async fn read(api: &Api, instance: &Instance) -> Result<RyzeWebsocket, Fault> {
    let filter = EndpointFilter {
        dialect: Some(DIALECT),
        channel: Some("websocket"),
        label: Some(LABEL),
        ..EndpointFilter::default()
    };
    let found = api.database.endpoint_records(instance, filter).await;
    let found = found.map_err(fault::failing_to("Failed to get websocket configuration"))?;
    let record = found.into_iter().next();
    record
        .map(shown)
        .ok_or_else(|| fault::missing("WebSocket not configured for this instance"))
}

/// A row as its owner sees it.
fn shown(record: EndpointRecord) -> RyzeWebsocket {
    let enabled = record.state != "disabled";
    RyzeWebsocket {
        enabled,
        events: shown_events(enabled, record.events),
        media_base64: record.media_base64,
    }
}
