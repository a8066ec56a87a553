//! `set` and `find` of the channels that take nothing but events: websocket, rabbitmq, sqs.

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
use super::view::{EvolutionChannel, Shown};
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// Their routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(set_websocket))
        .routes(routes!(find_websocket))
        .routes(routes!(set_rabbitmq))
        .routes(routes!(find_rabbitmq))
        .routes(routes!(set_sqs))
        .routes(routes!(find_sqs))
}

/// A channel as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
pub(super) struct EvolutionChannelBlock {
    /// Whether it is on.
    enabled: bool,
    /// What it gets, such as `MESSAGES_UPSERT`; none for everything.
    events: Option<Vec<String>>,
}

/// Sets a channel and shows it.
async fn set(
    api: &Api,
    tenant: &Tenant,
    channel: Channel,
    body: &Value,
) -> Result<(StatusCode, Json<EvolutionChannel>), Fault> {
    let endpoint = channel::set(api, tenant, channel, body).await?;
    let shown = Shown::of(api, &tenant.instance, &endpoint);
    Ok((StatusCode::CREATED, Json(shown.channel())))
}

/// Shows a channel.
async fn find(
    api: &Api,
    tenant: &Tenant,
    channel: Channel,
) -> Result<Json<Option<EvolutionChannel>>, Fault> {
    let endpoint = channel::find(api, &tenant.instance, channel).await?;
    let shown = endpoint
        .as_ref()
        .map(|endpoint| Shown::of(api, &tenant.instance, endpoint));
    Ok(Json(shown.map(Shown::channel)))
}

/// What `/websocket/set` takes. The same without `websocket` around it is accepted.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
struct EvolutionSetWebsocket {
    /// The channel.
    websocket: EvolutionChannelBlock,
}

/// Sets the websocket of an instance.
#[utoipa::path(post, path = "/websocket/set/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    request_body = EvolutionSetWebsocket, security(("apikey" = [])),
    responses((status = 201, description = "It as it is now", body = EvolutionChannel)))]
async fn set_websocket(
    State(api): State<Api>,
    tenant: Tenant,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<EvolutionChannel>), Fault> {
    set(&api, &tenant, Channel::Websocket, &body).await
}

/// Shows the websocket of an instance.
#[utoipa::path(get, path = "/websocket/find/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])),
    responses((status = 200, description = "It; null where there is none", body = Option<EvolutionChannel>)))]
async fn find_websocket(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<Option<EvolutionChannel>>, Fault> {
    find(&api, &tenant, Channel::Websocket).await
}

/// What `/rabbitmq/set` takes. The same without `rabbitmq` around it is accepted.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
struct EvolutionSetRabbitmq {
    /// The channel.
    rabbitmq: EvolutionChannelBlock,
}

/// Sets the `RabbitMQ` channel of an instance.
#[utoipa::path(post, path = "/rabbitmq/set/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    request_body = EvolutionSetRabbitmq, security(("apikey" = [])),
    responses((status = 201, description = "It as it is now", body = EvolutionChannel)))]
async fn set_rabbitmq(
    State(api): State<Api>,
    tenant: Tenant,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<EvolutionChannel>), Fault> {
    set(&api, &tenant, Channel::Rabbitmq, &body).await
}

/// Shows the `RabbitMQ` channel of an instance.
#[utoipa::path(get, path = "/rabbitmq/find/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])),
    responses((status = 200, description = "It; null where there is none", body = Option<EvolutionChannel>)))]
async fn find_rabbitmq(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<Option<EvolutionChannel>>, Fault> {
    find(&api, &tenant, Channel::Rabbitmq).await
}

/// What `/sqs/set` takes. The same without `sqs` around it is accepted.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands for what `body` reads by hand")]
struct EvolutionSetSqs {
    /// The channel.
    sqs: EvolutionChannelBlock,
}

/// Sets the SQS channel of an instance.
#[utoipa::path(post, path = "/sqs/set/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    request_body = EvolutionSetSqs, security(("apikey" = [])),
    responses((status = 201, description = "It as it is now", body = EvolutionChannel)))]
async fn set_sqs(
    State(api): State<Api>,
    tenant: Tenant,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<EvolutionChannel>), Fault> {
    set(&api, &tenant, Channel::Sqs, &body).await
}

/// Shows the SQS channel of an instance.
#[utoipa::path(get, path = "/sqs/find/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])),
    responses((status = 200, description = "It; null where there is none", body = Option<EvolutionChannel>)))]
async fn find_sqs(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<Option<EvolutionChannel>>, Fault> {
    find(&api, &tenant, Channel::Sqs).await
}
