//! `GET /api/v2/instance/:instanceId/webhook`

use axum::extract::State;

use super::super::answer::CodechatWebhook;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// List webhooks
///
/// All of them, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v2/instance/{instanceId}/webhook",
    operation_id = "codechat_webhook_list",
    params(("instanceId" = String, Path, description = "The instance's UUID or name")),
    responses(
        (status = 200, description = "The webhooks", body = Vec<CodechatWebhook>),
    ),
    security(("bearer" = [])),
)]
pub(in crate::http::codechat) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(instance): Path<String>,
) -> Result<Json<Vec<CodechatWebhook>>, Fault> {
    let instance = caller.instance(&api, &instance).await?;
    let records = super::records(&api, &instance, None).await?;
    let webhook = |record| CodechatWebhook::new(record, &instance, &api.keyring);
    Ok(Json(records.iter().map(webhook).collect()))
}
