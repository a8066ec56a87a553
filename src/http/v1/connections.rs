//! Who is connected to the realtime sidecars, and ending one of them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Cursor, Page, size};
use crate::db::connections::OpenConnection;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::{Fault, Kind};

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(kick))
}

/// A connection.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectionView {
    /// Its id, to end it by.
    id: i64,
    /// What it follows; none: all of its account (Evolution API's global mode), or nothing.
    instance: Option<String>,
    /// How it came in: stream, sse, ryze, vzaps …
    door: String,
    /// Where from; that of a proxy, where there is one.
    address: Option<String>,
    /// By which token: its id, `configured`, or the id of the instance whose own token it is.
    token: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    connected_at: OffsetDateTime,
    /// The process it is connected to.
    sidecar: String,
}

impl From<OpenConnection> for ConnectionView {
    fn from(open: OpenConnection) -> Self {
        Self {
            id: open.id,
            instance: open.instance,
            door: open.door,
            address: open.address,
            token: open.token,
            connected_at: open.connected_at,
            sidecar: open.sidecar,
        }
    }
}

/// Which connections, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only those to this instance.
    instance: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most: 1 to 500, else 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Lists who is connected, at any process; a second old
#[utoipa::path(get, path = "/v1/connections", tag = "connections", security(("bearer" = [])), params(Asked),
    responses((status = 200, description = "A page of connections", body = Page<ConnectionView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<ConnectionView>>, Fault> {
    let instance = match &asked.instance {
        Some(named) => Some(caller.instance(&api, named).await?.id),
        None => None,
    };
    let size = size(asked.limit)?;
    let after = asked.cursor.map_or(0, |cursor| cursor.0);
    let found = api
        .database
        .connections_within(caller.reach(), instance, (after, size + 1))
        .await?;
    Ok(Json(Page::of(
        found,
        size,
        |open| open.id,
        ConnectionView::from,
    )))
}

/// Ends a connection, at whichever process it is, within two seconds. It may come back: to keep it out, revoke its token
#[utoipa::path(delete, path = "/v1/connections/{connection}", tag = "connections", security(("bearer" = [])),
    params(("connection" = i64, Path, description = "Its id")),
    responses((status = 202, description = "It is being closed, with code 1008")))]
async fn kick(
    State(api): State<Api>,
    caller: Caller,
    Path(connection): Path<i64>,
) -> Result<StatusCode, Fault> {
    caller.for_account()?;
    if !api.database.kick(caller.reach(), connection).await? {
        let message =
            format!("there is no connection {connection}; GET /v1/connections lists them");
        return Err(Fault::new(Kind::NotFound, "connection_not_found", message));
    }
    Ok(StatusCode::ACCEPTED)
}
