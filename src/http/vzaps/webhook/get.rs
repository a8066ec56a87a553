//! `GET /instances/:id/webhook`

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::{VzapsEnvelope, enveloped};
use super::super::names::shown;
use super::super::owner::Owner;
use super::configured;
use crate::http::api::Api;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// A webhook as it is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsWebhook {
    /// Where callbacks go; empty where nowhere.
    webhook: String,
    /// The events it wants.
    #[schema(example = json!(["Message", "ReadReceipt"]))]
    subscribe: Vec<String>,
}

/// Get the webhook
#[utoipa::path(
    get,
    path = "/instances/{id}/webhook",
    operation_id = "vzaps_webhook_get",
    params(("id" = String, Path, description = "The instance's `VZ…` id")),
    responses((status = 200, description = "The webhook", body = VzapsEnvelope<VzapsWebhook>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn get(
    State(api): State<Api>,
    owner: Owner,
    Path(id): Path<String>,
) -> Result<Json<VzapsEnvelope<VzapsWebhook>>, Fault> {
    let instance = owner.instance(&api, &id).await?;
    let webhook = configured(&api, &instance).await?;
    let subscribe = webhook.as_ref().map(|webhook| shown(&webhook.events));
    Ok(enveloped(VzapsWebhook {
        subscribe: subscribe
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        webhook: webhook.map(|webhook| webhook.url).unwrap_or_default(),
    }))
}
