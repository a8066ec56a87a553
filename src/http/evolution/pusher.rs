//! `/pusher/set` and `/pusher/find`.

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
use super::view::{EvolutionPusher, Shown};
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(set))
        .routes(routes!(find))
}

/// What `/pusher/set` takes. The same without `pusher` around it is accepted.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
struct EvolutionSetPusher {
    /// The application.
    pusher: EvolutionPusherBlock,
}

/// A Pusher application as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
pub(super) struct EvolutionPusherBlock {
    /// Whether it is on.
    enabled: bool,
    /// Its id at Pusher.
    #[schema(min_length = 1)]
    app_id: String,
    /// Its key.
    #[schema(min_length = 1)]
    key: String,
    /// Its secret.
    #[schema(min_length = 1)]
    secret: String,
    /// Where it is.
    #[schema(min_length = 1)]
    cluster: String,
    /// Whether it is spoken to over TLS.
    #[serde(rename = "useTLS")]
    use_tls: bool,
    /// What it gets, such as `MESSAGES_UPSERT`; none for everything.
    events: Option<Vec<String>>,
}

/// Sets the Pusher application of an instance.
#[utoipa::path(post, path = "/pusher/set/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    request_body = EvolutionSetPusher, security(("apikey" = [])),
    responses((status = 201, description = "The application as it is now", body = EvolutionPusher)))]
async fn set(
    State(api): State<Api>,
    tenant: Tenant,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<EvolutionPusher>), Fault> {
    let endpoint = channel::set(&api, &tenant, Channel::Pusher, &body).await?;
    let shown = Shown::of(&api, &tenant.instance, &endpoint);
    Ok((StatusCode::CREATED, Json(shown.pusher())))
}

/// Shows the Pusher application of an instance.
#[utoipa::path(get, path = "/pusher/find/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])),
    responses((status = 200, description = "The application; null where there is none", body = Option<EvolutionPusher>)))]
async fn find(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<Option<EvolutionPusher>>, Fault> {
    let endpoint = channel::find(&api, &tenant.instance, Channel::Pusher).await?;
    let shown = endpoint
        .as_ref()
        .map(|endpoint| Shown::of(&api, &tenant.instance, endpoint));
    Ok(Json(shown.map(Shown::pusher)))
}
