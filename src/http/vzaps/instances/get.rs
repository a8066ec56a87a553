//! `POST /instances/get`

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::answer::{VzapsBoth, both};
use super::super::owner::Owner;
use super::super::webhook::configured;
use super::VzapsInstance;
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// Names an instance.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsInstanceId {
    /// Its `VZ…` id.
    #[serde(alias = "instance_id", alias = "instanceId")]
    id: String,
}

/// Get an instance
#[utoipa::path(
    post,
    path = "/instances/get",
    operation_id = "vzaps_instance_get",
    request_body = VzapsInstanceId,
    responses((status = 200, description = "The instance", body = VzapsBoth<VzapsInstance>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn get(
    State(api): State<Api>,
    owner: Owner,
    Json(named): Json<VzapsInstanceId>,
) -> Result<Json<VzapsBoth<VzapsInstance>>, Fault> {
    let instance = owner.instance(&api, &named.id).await?;
    let endpoint = configured(&api, &instance).await?;
    Ok(both(
        200,
        VzapsInstance::with(&api, &instance, endpoint.as_ref()),
    ))
}
