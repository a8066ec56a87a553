//! `/instance/connectionState`, `connect`, `restart` and `logout`: what was last said of a connection, and saying it.

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::fault::refused;
use super::super::tenant::Tenant;
use super::delete::{EvolutionDone, done};
use super::{STATUS, connection, news};
use crate::db::administration::{Change, Instance};
use crate::http::api::Api;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// Whether an instance is connected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvolutionState {
    /// The instance.
    instance: EvolutionStateOf,
}

/// An instance and its state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EvolutionStateOf {
    /// Its name.
    instance_name: String,
    /// open or close.
    state: String,
}

/// The state of an instance.
fn shown(instance: &Instance, state: &str) -> Json<EvolutionState> {
    Json(EvolutionState {
        instance: EvolutionStateOf {
            instance_name: instance.name.clone(),
            state: state.to_owned(),
        },
    })
}

/// Notes what is said of the connection.
async fn note(api: &Api, instance: &Instance, state: &str) -> Result<(), Fault> {
    let mut details = instance.details.clone();
    if let Value::Object(details) = &mut details {
        details.insert(STATUS.to_owned(), state.into());
    }
    api.database
        .update_instance(instance.id, Change::Keep, Some(&details))
        .await?;
    Ok(())
}

/// Whether an instance is connected, as far as Postrider was told.
#[utoipa::path(get, path = "/instance/connectionState/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])), responses((status = 200, description = "Its state", body = EvolutionState)))]
pub(super) async fn connection_state(tenant: Tenant) -> Json<EvolutionState> {
    shown(&tenant.instance, connection(&tenant.instance))
}

/// Notes that an instance is connected. There is no QR code: the connection is the application's.
#[utoipa::path(get, path = "/instance/connect/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])), responses((status = 200, description = "Its state", body = EvolutionState)))]
pub(super) async fn connect(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<EvolutionState>, Fault> {
    note(&api, &tenant.instance, "open").await?;
    Ok(shown(&tenant.instance, "open"))
}

/// The same.
#[utoipa::path(post, path = "/instance/restart/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])), responses((status = 200, description = "Its state", body = EvolutionState)))]
pub(super) async fn restart(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<EvolutionState>, Fault> {
    note(&api, &tenant.instance, "open").await?;
    Ok(shown(&tenant.instance, "open"))
}

/// Notes that an instance is no longer connected, and emits `logout.instance`.
#[utoipa::path(delete, path = "/instance/logout/{instanceName}", params(("instanceName" = String, Path, description = "The instance")),
    security(("apikey" = [])), responses((status = 200, description = "It is noted", body = EvolutionDone)))]
pub(super) async fn logout(
    State(api): State<Api>,
    tenant: Tenant,
) -> Result<Json<EvolutionDone>, Fault> {
    let instance = &tenant.instance;
    if connection(instance) == "close" {
        let message = format!("The \"{}\" instance is not connected", instance.name);
        return Err(refused(message));
    }
    note(&api, instance, "close").await?;
    news::tell(&api, instance, "logout.instance", "null").await?;
    Ok(done("Instance logged out"))
}
