//! `/instance/delete`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::fault::no_instance;
use super::super::tenant::Tenant;
use super::news::bury;
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// It is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvolutionDone {
    /// `SUCCESS`.
    status: &'static str,
    /// `false`.
    error: bool,
    /// The rest.
    response: EvolutionDoneText,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
struct EvolutionDoneText {
    /// In words.
    message: &'static str,
}

/// It is done.
pub(super) fn done(message: &'static str) -> Json<EvolutionDone> {
    Json(EvolutionDone {
        status: "SUCCESS",
        error: false,
        response: EvolutionDoneText { message },
    })
}

/// Deletes an instance. Its webhooks are told by `instance.delete` and `remove.instance`.
#[utoipa::path(delete, path = "/instance/delete/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])), responses((status = 200, description = "It is deleted", body = EvolutionDone)))]
pub(super) async fn delete(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<EvolutionDone>, Fault> {
    if bury(&api, &tenant.instance).await? {
        Ok(done("Instance deleted"))
    } else {
        Err(no_instance(&tenant.instance.name))
    }
}
