//! `/webhook/set` and `/webhook/find`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Channel;
use super::channel;
use super::tenant::Tenant;
use super::view::{EvolutionWebhook, Shown};
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(set))
        .routes(routes!(find))
}

/// What `/webhook/set` takes. The same without `webhook` around it is accepted, and so are `webhookByEvents`,
/// `webhook_by_events` and their like.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
struct EvolutionSetWebhook {
    /// The webhook.
    webhook: EvolutionWebhookBlock,
}

/// A webhook as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
pub(super) struct EvolutionWebhookBlock {
    /// Whether it is on.
    enabled: bool,
    /// Where it goes.
    #[schema(min_length = 1, max_length = 2048, format = "uri")]
    url: String,
    /// Headers of its own. `jwt_key` is none: deliveries carry a token signed with it.
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// Whether the event is appended to the URL.
    by_events: Option<bool>,
    /// Whether media come as base64.
    base64: Option<bool>,
    /// What it gets, such as `MESSAGES_UPSERT`; none for everything.
    events: Option<Vec<String>>,
}

/// Sets the webhook of an instance.
#[utoipa::path(post, path = "/webhook/set/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    request_body = EvolutionSetWebhook, security(("apikey" = [])),
    responses((status = 201, description = "The webhook as it is now", body = EvolutionWebhook)))]
async fn set(
    State(api): State<Api>,
    tenant: Tenant,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<EvolutionWebhook>), Fault> {
    let endpoint = channel::set(&api, &tenant, Channel::Webhook, &body).await?;
    let shown = Shown::of(&api, &tenant.instance, &endpoint);
    Ok((StatusCode::CREATED, Json(shown.webhook())))
}

/// Shows the webhook of an instance.
#[utoipa::path(get, path = "/webhook/find/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])),
    responses((status = 200, description = "The webhook; null where there is none", body = Option<EvolutionWebhook>)))]
async fn find(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<Option<EvolutionWebhook>>, Fault> {
    let endpoint = channel::find(&api, &tenant.instance, Channel::Webhook).await?;
    let shown = endpoint
        .as_ref()
        .map(|endpoint| Shown::of(&api, &tenant.instance, endpoint));
    Ok(Json(shown.map(Shown::webhook)))
}
