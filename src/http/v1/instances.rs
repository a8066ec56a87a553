//! Instances: the tenants within an account.

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::given::Given;
use super::page::{Cursor, Page, size};
use super::sender::sender;
use crate::crypto::token;
use crate::db::administration::{Instance, NewInstance};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::evolution;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::Fault;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(rotate_token))
}

/// An instance. All three of its names are good in paths.
#[derive(Debug, Serialize, ToSchema)]
struct InstanceView {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Its id in the form `VZaps` clients expect.
    vzaps_id: String,
    /// What envelopes that have a sender put there.
    sender: Option<String>,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<Instance> for InstanceView {
    fn from(instance: Instance) -> Self {
        Self {
            id: instance.uid,
            name: instance.name,
            vzaps_id: instance.vzaps_id,
            sender: instance.sender,
            created_at: instance.created_at,
            updated_at: instance.updated_at,
        }
    }
}

/// An instance that was just made.
#[derive(Debug, Serialize, ToSchema)]
struct MadeInstance {
    #[serde(flatten)]
    instance: InstanceView,
    /// Its own token: it reaches this instance and no other.
    token: String,
}

/// An instance to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InstanceRequest {
    /// 1 to 255 characters; unique within the account.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// What envelopes that have a sender put there.
    #[schema(max_length = 255, example = "5511999999999@s.whatsapp.net")]
    sender: Option<String>,
}

/// What is to change. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InstanceChange {
    /// What envelopes that have a sender put there; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255, example = "5511999999999@s.whatsapp.net")]
    sender: Given<String>,
}

/// Another token.
#[derive(Debug, Serialize, ToSchema)]
struct InstanceToken {
    /// It reaches this instance and no other.
    token: String,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most: 1 to 500, else 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Lists the instances that the token reaches
#[utoipa::path(get, path = "/v1/instances", tag = "instances", security(("bearer" = [])), params(Asked),
    responses((status = 200, description = "A page of instances", body = Page<InstanceView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<InstanceView>>, Fault> {
    let size = size(asked.limit)?;
    let after = asked.cursor.map_or(0, |cursor| cursor.0);
    let found = api
        .database
        .instances_within(caller.reach(), after, size + 1)
        .await?;
    Ok(Json(Page::of(
        found,
        size,
        |instance| instance.id,
        InstanceView::from,
    )))
}

/// Creates an instance
#[utoipa::path(post, path = "/v1/instances", tag = "instances", security(("bearer" = [])),
    responses((status = 201, description = "The instance, with its token", body = MadeInstance)))]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<InstanceRequest>,
) -> Result<(StatusCode, Json<MadeInstance>), Fault> {
    caller.for_account()?;
    if let Some(text) = &asked.sender {
        sender("sender", text)?;
    }
    let token = token::generate(&mut rand::rng());
    let new = NewInstance {
        name: &asked.name,
        token: &token,
        sender: asked.sender.as_deref(),
        reach: caller.reach(),
        details: None,
    };
    api.database.create_instance(&new, &api.keyring).await?;
    let instance = caller.instance(&api, &asked.name).await?;
    evolution::born(&api, &instance).await;
    let made = MadeInstance {
        instance: instance.into(),
        token: shown(&token),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Shows an instance
#[utoipa::path(get, path = "/v1/instances/{instance}", tag = "instances", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids")),
    responses((status = 200, description = "The instance", body = InstanceView)))]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
) -> Result<Json<InstanceView>, Fault> {
    Ok(Json(caller.instance(&api, &named).await?.into()))
}

/// Changes an instance
#[utoipa::path(patch, path = "/v1/instances/{instance}", tag = "instances", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids")),
    responses((status = 200, description = "The instance as it is now", body = InstanceView)))]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
    Json(asked): Json<InstanceChange>,
) -> Result<Json<InstanceView>, Fault> {
    let instance = caller.instance(&api, &named).await?;
    let sender = asked
        .sender
        .change(|text| sender("sender", text).map(|()| text.as_str()))?;
    api.database
        .update_instance(instance.id, sender, None)
        .await?;
    Ok(Json(caller.instance(&api, &instance.name).await?.into()))
}

/// Deletes an instance with its endpoints; what was pending goes to the dead letters
#[utoipa::path(delete, path = "/v1/instances/{instance}", tag = "instances", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids")),
    responses((status = 204, description = "It is gone")))]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
) -> Result<StatusCode, Fault> {
    caller.for_account()?;
    let instance = caller.instance(&api, &named).await?;
    evolution::bury(&api, &instance).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an instance another token of its own; the former one is good for nothing any more
#[utoipa::path(post, path = "/v1/instances/{instance}/token", tag = "instances", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids")),
    responses((status = 200, description = "The token", body = InstanceToken)))]
async fn rotate_token(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
) -> Result<Json<InstanceToken>, Fault> {
    let instance = caller.instance(&api, &named).await?;
    let token = token::generate(&mut rand::rng());
    api.database
        .set_instance_token(&instance.sql_name, &token, &api.keyring)
        .await?;
    api.tokens.forget();
    Ok(Json(InstanceToken {
        token: shown(&token),
    }))
}

/// A secret on its way to its owner.
fn shown(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}
