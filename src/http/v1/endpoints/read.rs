//! Looking at endpoints.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::{ChannelName, DialectName, EndpointView};
use crate::db::administration::ShownFilter;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::Fault;
use crate::http::v1::page::{Cursor, Page, size};

/// Which endpoints, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only of this channel.
    channel: Option<ChannelName>,
    /// Only of this dialect.
    dialect: Option<DialectName>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most: 1 to 500, else 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Lists the endpoints of an instance
#[utoipa::path(get, path = "/v1/instances/{instance}/endpoints", tag = "endpoints", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids"), Asked),
    responses((status = 200, description = "A page of endpoints", body = Page<EndpointView>)))]
pub(super) async fn of_instance(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<EndpointView>>, Fault> {
    let instance = caller.instance(&api, &named).await?;
    page(&api, &caller, Some(instance.id), &asked).await
}

/// Lists the endpoints of all instances that the token reaches
#[utoipa::path(get, path = "/v1/endpoints", tag = "endpoints", security(("bearer" = [])), params(Asked),
    responses((status = 200, description = "A page of endpoints", body = Page<EndpointView>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<EndpointView>>, Fault> {
    page(&api, &caller, None, &asked).await
}

/// Shows an endpoint
#[utoipa::path(get, path = "/v1/endpoints/{endpoint}", tag = "endpoints", security(("bearer" = [])),
    params(("endpoint" = i64, Path, description = "Its id")),
    responses((status = 200, description = "The endpoint", body = EndpointView)))]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<EndpointView>, Fault> {
    let found = super::find(&api, &caller, id).await?;
    Ok(Json(EndpointView::new(found, &api.keyring)))
}

/// One page.
async fn page(
    api: &Api,
    caller: &Caller,
    instance: Option<i64>,
    asked: &Asked,
) -> Result<Json<Page<EndpointView>>, Fault> {
    let size = size(asked.limit)?;
    let filter = ShownFilter {
        instance,
        id: None,
        channel: asked.channel.map(ChannelName::as_str),
        dialect: asked.dialect.map(DialectName::as_str),
    };
    let after = asked.cursor.map_or(0, |cursor| cursor.0);
    let found = api
        .database
        .endpoints_shown(caller.reach(), filter, after, size + 1)
        .await?;
    let show = |endpoint| EndpointView::new(endpoint, &api.keyring);
    Ok(Json(Page::of(found, size, |found| found.line.id, show)))
}
