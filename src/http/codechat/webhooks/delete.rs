//! `DELETE /api/v2/instance/:instanceId/webhook/:webhookId`

use axum::extract::State;

use super::super::answer::CodechatWebhook;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// Delete a webhook
///
/// Answers with what it was. What was pending for it goes to the dead letters.
#[utoipa::path(
    delete,
    path = "/api/v2/instance/{instanceId}/webhook/{webhookId}",
    operation_id = "codechat_webhook_delete",
    params(
        ("instanceId" = String, Path, description = "The instance's UUID or name"),
        ("webhookId" = String, Path, description = "The webhook's id"),
    ),
    responses(
        (status = 200, description = "The webhook as it was", body = CodechatWebhook),
    ),
    security(("bearer" = [])),
)]
pub(in crate::http::codechat) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((instance, webhook)): Path<(String, String)>,
) -> Result<Json<CodechatWebhook>, Fault> {
    let instance = caller.instance(&api, &instance).await?;
    let found = super::records(&api, &instance, Some(&webhook)).await?;
    let record = found.first().ok_or_else(|| super::not_found(&webhook))?;
    if !api.database.delete_endpoint(record.id).await? {
        return Err(super::not_found(&webhook));
    }
    Ok(Json(CodechatWebhook::new(record, &instance, &api.keyring)))
}
