//! `PUT /api/v2/instance/:instanceId/webhook/:webhookId`

use axum::extract::State;
use axum::http::StatusCode;

use super::super::DIALECT;
use super::super::answer::{CodechatWebhook, Settings};
use super::super::body::ChangedCodechatWebhook;
use super::check_name;
use crate::db::administration::{Change, EndpointPatch, EndpointRules};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;
use crate::http::target::check_target;

/// Update a webhook
///
/// A URL that is left out stays; `enabled` left out means false, as documented. Its events stay as they are.
#[utoipa::path(
    put,
    path = "/api/v2/instance/{instanceId}/webhook/{webhookId}",
    operation_id = "codechat_webhook_update",
    params(
        ("instanceId" = String, Path, description = "The instance's UUID or name"),
        ("webhookId" = String, Path, description = "The webhook's id"),
    ),
    request_body = ChangedCodechatWebhook,
    responses(
        (status = 201, description = "The webhook", body = CodechatWebhook),
    ),
    security(("bearer" = [])),
)]
pub(in crate::http::codechat) async fn update(
    State(api): State<Api>,
    caller: Caller,
    Path((instance, webhook)): Path<(String, String)>,
    Json(changed): Json<ChangedCodechatWebhook>,
) -> Result<(StatusCode, Json<CodechatWebhook>), Fault> {
    let instance = caller.instance(&api, &instance).await?;
    check_name(&changed.name)?;
    if let Some(url) = &changed.url {
        check_target(&api, "url", url)?;
    }
    let patch = EndpointPatch {
        url: changed.url.as_deref(),
        state: Some(if changed.enabled {
            "enabled"
        } else {
            "disabled"
        }),
        settings: Change::To(Settings::written(&changed.name)),
        events: None,
        rules: EndpointRules {
            url_once: true,
            ..EndpointRules::default()
        },
    };
    let found = api
        .database
        .patch_endpoint(&instance, (DIALECT, &webhook), patch, &api.keyring)
        .await?;
    if !found {
        return Err(super::not_found(&webhook));
    }
    let answer = super::shown(&api, &instance, &webhook).await?;
    // 201, not 200: so the documentation has it.
    Ok((StatusCode::CREATED, Json(answer)))
}
