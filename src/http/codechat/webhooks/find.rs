//! `GET /api/v2/instance/:instanceId/webhook/:webhookId`

use axum::extract::State;

use super::super::answer::CodechatWebhook;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// Find a webhook
#[utoipa::path(
    get,
    path = "/api/v2/instance/{instanceId}/webhook/{webhookId}",
    operation_id = "codechat_webhook_find",
    params(
        ("instanceId" = String, Path, description = "The instance's UUID or name"),
        ("webhookId" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "The webhook", body = CodechatWebhook),
    ),
    security(("bearer" = [])),
)]
pub(in crate::http::codechat) async fn find(
    State(api): State<Api>,
    caller: Caller,
    Path((instance, webhook)): Path<(String, String)>,
) -> Result<Json<CodechatWebhook>, Fault> {
    let instance = caller.instance(&api, &instance).await?;
    Ok(Json(super::shown(&api, &instance, &webhook).await?))
}
