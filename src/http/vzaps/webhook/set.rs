//! `POST /instances/:id/webhook`

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::answer::{VzapsEnvelope, enveloped};
use super::super::names::{Names, shown, subscription};
use super::super::owner::Owner;
use super::{configure, configured};
use crate::http::api::Api;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;
use crate::http::target::check_target;

/// What a webhook is to be.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http::vzaps) struct NewVzapsWebhook {
    /// Where callbacks go. Also taken as `webhook_url`, `webhookUrl`, `webhook` and `url`.
    #[serde(
        rename = "webhookURL",
        alias = "webhook_url",
        alias = "webhookUrl",
        alias = "webhook",
        alias = "url"
    )]
    #[schema(min_length = 1, max_length = 2048, format = "uri")]
    webhook_url: String,
    /// The events it wants; left out, they stay as they are. Also taken as `subscribe`.
    #[serde(alias = "subscribe")]
    events: Option<Names>,
}

/// A webhook as it was set.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsWebhookSet {
    /// Where callbacks go.
    webhook: String,
    /// The events it wants, with commas between.
    #[schema(example = "Message,ReadReceipt")]
    events: String,
}

/// Set the webhook
///
/// Events that are left out stay as they are; a new webhook then has every event.
#[utoipa::path(
    post,
    path = "/instances/{id}/webhook",
    operation_id = "vzaps_webhook_set",
    params(("id" = String, Path, description = "The instance's `VZ…` id")),
    request_body = NewVzapsWebhook,
    responses((status = 200, description = "The webhook", body = VzapsEnvelope<VzapsWebhookSet>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn set(
    State(api): State<Api>,
    owner: Owner,
    Path(id): Path<String>,
    Json(new): Json<NewVzapsWebhook>,
) -> Result<Json<VzapsEnvelope<VzapsWebhookSet>>, Fault> {
    let instance = owner.instance(&api, &id).await?;
    check_target(&api, "webhookURL", &new.webhook_url)?;
    let events = new
        .events
        .map(|names| subscription("events", &names))
        .transpose()?;
    configure(&api, &instance, &new.webhook_url, events).await?;
    let webhook = configured(&api, &instance).await?;
    let events = webhook
        .as_ref()
        .map(|webhook| shown(&webhook.events).join(","));
    Ok(enveloped(VzapsWebhookSet {
        webhook: webhook
            .as_ref()
            .map(|webhook| webhook.url.clone())
            .unwrap_or_default(),
        events: events.unwrap_or_default(),
    }))
}
