//! `POST /api/v2/instance/:instanceId/webhook`

use axum::extract::State;
use axum::http::StatusCode;

use super::super::DIALECT;
use super::super::answer::{CodechatWebhook, Settings};
use super::super::body::{NewCodechatWebhook, label};
use super::check_name;
use crate::db::administration::{Change, EndpointChanges, EndpointFilter, EndpointRules};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;
use crate::http::target::check_target;

/// Make a webhook
///
/// It is off unless `enabled` says otherwise, and every event is on.
#[utoipa::path(
    post,
    path = "/api/v2/instance/{instanceId}/webhook",
    operation_id = "codechat_webhook_create",
    params(("instanceId" = String, Path, description = "The instance's UUID or name")),
    request_body = NewCodechatWebhook,
    responses(
        (status = 201, description = "The webhook", body = CodechatWebhook),
    ),
    security(("bearer" = [])),
)]
pub(in crate::http::codechat) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(instance): Path<String>,
    Json(new): Json<NewCodechatWebhook>,
) -> Result<(StatusCode, Json<CodechatWebhook>), Fault> {
    let instance = caller.instance(&api, &instance).await?;
    check_name(&new.name)?;
    check_target(&api, "url", &new.url)?;
    let label = label(&new.name, rand::random());
    let changes = EndpointChanges {
        instance: &instance.sql_name,
        url: &new.url,
        label: &label,
        channel: "webhook",
        dialect: DIALECT,
        rules: EndpointRules {
            url_once: true,
            ..EndpointRules::default()
        },
        state: Some(if new.enabled { "enabled" } else { "disabled" }),
        settings: Change::To(Settings::written(&new.name)),
        ..EndpointChanges::default()
    };
    let id = api.database.set_endpoint(&changes, &api.keyring).await?;
    let filter = EndpointFilter {
        id: Some(id),
        ..EndpointFilter::default()
    };
    let made = api.database.endpoint_records(&instance, filter).await?;
    let made = made.first().ok_or_else(|| super::not_found(&label))?;
    let answer = CodechatWebhook::new(made, &instance, &api.keyring);
    Ok((StatusCode::CREATED, Json(answer)))
}
