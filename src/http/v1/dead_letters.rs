//! Dead letters: deliveries that failed for good. They stay until somebody re-queues or purges them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deliveries::{DeliveryView, instance_key, page};
use super::page::{Cursor, Page, size};
use crate::db::administration::DeliveryFilter;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Query};
use crate::http::fault::Fault;

/// Ids named in one request.
const IDS_MAX: usize = 10_000;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(requeue))
        .routes(routes!(purge))
}

/// Which dead letters, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only for this endpoint.
    endpoint: Option<i64>,
    /// Only of this instance, by its name or one of its ids.
    instance: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most: 1 to 500, else 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Which dead letters to work on. What is left out does not narrow it; to work on all that the token reaches, say `"all": true`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Selection {
    /// All that the token reaches.
    all: bool,
    /// Those of this instance, by its name or one of its ids.
    instance: Option<String>,
    /// Those for this endpoint.
    endpoint: Option<i64>,
    /// Just these deliveries; at most 10,000.
    #[schema(max_items = 10000)]
    ids: Option<Vec<i64>>,
    /// Those that failed since then.
    #[serde(with = "time::serde::rfc3339::option")]
    since: Option<OffsetDateTime>,
    /// Those that failed before then.
    #[serde(with = "time::serde::rfc3339::option")]
    until: Option<OffsetDateTime>,
    /// Those whose last error is like this, `%` standing for anything.
    error_like: Option<String>,
}

/// How many were re-queued.
#[derive(Debug, Serialize, ToSchema)]
struct Requeued {
    /// Deliveries that begin a new cycle.
    requeued: u64,
}

/// How many were removed.
#[derive(Debug, Serialize, ToSchema)]
struct Purged {
    /// Deliveries that are gone.
    purged: u64,
}

/// Lists dead letters, the latest first
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", security(("bearer" = [])), params(Asked),
    responses((status = 200, description = "A page of dead letters", body = Page<DeliveryView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<DeliveryView>>, Fault> {
    let size = size(asked.limit)?;
    let filter = DeliveryFilter {
        status: Some("failed".to_owned()),
        endpoint: asked.endpoint,
        instance: instance_key(&api, &caller, asked.instance.as_deref()).await?,
        ..DeliveryFilter::default()
    };
    page(&api, &caller, &filter, asked.cursor, size).await
}

/// Gives dead letters a full new cycle of attempts, however many there are
///
/// One statement, without a limit. It is done when the answer comes, all of it or nothing.
#[utoipa::path(post, path = "/v1/dead-letters/requeue", tag = "dead letters", security(("bearer" = [])),
    responses((status = 202, description = "They are queued", body = Requeued)))]
async fn requeue(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<Selection>,
) -> Result<(StatusCode, Json<Requeued>), Fault> {
    let filter = asked.filter(&api, &caller).await?;
    let requeued = api.database.requeue_within(caller.reach(), &filter).await?;
    Ok((StatusCode::ACCEPTED, Json(Requeued { requeued })))
}

/// Removes dead letters for good, however many there are
#[utoipa::path(post, path = "/v1/dead-letters/purge", tag = "dead letters", security(("bearer" = [])),
    responses((status = 200, description = "They are gone", body = Purged)))]
async fn purge(
    State(api): State<Api>,
    caller: Caller,
    Json(asked): Json<Selection>,
) -> Result<Json<Purged>, Fault> {
    let filter = asked.filter(&api, &caller).await?;
    let purged = api
        .database
        .purge_dead_letters(caller.reach(), &filter)
        .await?;
    Ok(Json(Purged { purged }))
}

impl Selection {
    /// As the database is asked. Nothing said is not everything: that has to be said.
    async fn filter(self, api: &Api, caller: &Caller) -> Result<DeliveryFilter, Fault> {
        let narrowed = self.instance.is_some()
            || self.endpoint.is_some()
            || self.ids.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || self.error_like.is_some();
        if narrowed == self.all {
            let message = "say which: instance, endpoint, ids, since, until or error_like; or \"all\": true, and none of these";
            return Err(Fault::invalid("all", message));
        }
        if self.ids.as_ref().is_some_and(|ids| ids.len() > IDS_MAX) {
            let message = format!("ids: at most {IDS_MAX}; use the other fields for more");
            return Err(Fault::invalid("ids", message));
        }
        Ok(DeliveryFilter {
            status: Some("failed".to_owned()),
            endpoint: self.endpoint,
            instance: instance_key(api, caller, self.instance.as_deref()).await?,
            since: self.since,
            until: self.until,
            ids: self.ids,
            error_like: self.error_like,
        })
    }
}
