//! `PATCH /api/v2/instance/:instanceId/webhook/:webhookId/events`

use axum::extract::State;

use super::super::DIALECT;
use super::super::answer::CodechatWebhook;
use super::super::switches::switched;
use super::super::toggles::CodechatEvents;
use crate::db::administration::EndpointPatch;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// Define events
///
/// Moves the switches that are named; the others stay as they are.
#[utoipa::path(
    patch,
    path = "/api/v2/instance/{instanceId}/webhook/{webhookId}/events",
    operation_id = "codechat_webhook_events",
    params(
        ("instanceId" = String, Path, description = "The instance's UUID or name"),
        ("webhookId" = String, Path, description = "The webhook's id"),
    ),
    request_body = CodechatEvents,
    responses(
        (status = 200, description = "The webhook", body = CodechatWebhook),
    ),
    security(("bearer" = [])),
)]
pub(in crate::http::codechat) async fn toggle(
    State(api): State<Api>,
    caller: Caller,
    Path((instance, webhook)): Path<(String, String)>,
    Json(moved): Json<CodechatEvents>,
) -> Result<Json<CodechatWebhook>, Fault> {
    let instance = caller.instance(&api, &instance).await?;
    let change = |events: &[String]| switched(events, &moved.0);
    let patch = EndpointPatch {
        events: Some(&change),
        ..EndpointPatch::default()
    };
    let found = api
        .database
        .patch_endpoint(&instance, (DIALECT, &webhook), patch, &api.keyring)
        .await?;
    if !found {
        return Err(super::not_found(&webhook));
    }
    Ok(Json(super::shown(&api, &instance, &webhook).await?))
}
