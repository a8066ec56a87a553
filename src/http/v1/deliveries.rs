//! Deliveries: one event for one endpoint each.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Cursor, Page, size};
use crate::db::administration::{AttemptLine, DeliveryFilter, DeliveryLine};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::{Fault, Kind};

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(resend))
        .routes(routes!(cancel))
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// It is to be sent, or is being sent.
    Pending,
    /// It has arrived.
    Delivered,
    /// It is a dead letter.
    Failed,
}

impl Status {
    /// As the queue has it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryView {
    /// Its id.
    id: i64,
    /// The name of its instance.
    instance: String,
    /// The endpoint it is for; null for a row inserted directly.
    endpoint: Option<i64>,
    /// The event; null for a row inserted directly.
    event: Option<String>,
    /// The event's type.
    event_type: String,
    /// How it goes out.
    channel: String,
    /// Where it goes.
    url: String,
    /// pending, delivered, or failed: a dead letter.
    status: String,
    /// Whether a worker has it in hand now.
    in_flight: bool,
    /// Attempts made in this cycle.
    attempts: i32,
    /// How many there may be.
    max_attempts: i32,
    /// When it is due, where it is pending.
    #[serde(with = "time::serde::rfc3339")]
    next_retry_at: OffsetDateTime,
    /// What the last failed attempt said.
    last_error: Option<String>,
    /// When it was queued.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When its state last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl From<DeliveryLine> for DeliveryView {
    fn from(line: DeliveryLine) -> Self {
        Self {
            id: line.id,
            instance: line.instance,
            endpoint: line.endpoint_id,
            event: line.event_id,
            event_type: line.event_type,
            channel: line.channel,
            url: line.url,
            status: line.status,
            in_flight: line.in_flight,
            attempts: line.attempts,
            max_attempts: line.max_attempts,
            next_retry_at: line.next_retry_at,
            last_error: line.last_error,
            created_at: line.created_at,
            updated_at: line.updated_at,
        }
    }
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptView {
    /// Its number within the cycle.
    attempt: i32,
    /// When it began, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// From the start of the request to the end of the response.
    duration_ms: i32,
    /// delivered, retry or failed.
    outcome: String,
    /// The kind of failure.
    class: Option<String>,
    /// The HTTP status, where one arrived.
    status: Option<i32>,
    /// What happened, in a line.
    detail: Option<String>,
}

impl From<AttemptLine> for AttemptView {
    fn from(line: AttemptLine) -> Self {
        Self {
            attempt: line.attempt,
            at: line.at,
            duration_ms: line.duration_ms,
            outcome: line.outcome,
            class: line.class,
            status: line.status,
            detail: line.detail,
        }
    }
}

/// A delivery with what was tried.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryWithAttempts {
    /// The delivery.
    delivery: DeliveryView,
    /// What it carries: the event's JSON body, shaped for its endpoint. The endpoint's envelope is put around it when it is sent.
    payload: String,
    /// Every try, those of former cycles too, the earliest first.
    attempts: Vec<AttemptView>,
}

/// Which deliveries, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only in this state.
    status: Option<Status>,
    /// Only for this endpoint.
    endpoint: Option<i64>,
    /// Only of this instance, by its name or one of its ids.
    instance: Option<String>,
    /// Only queued since then.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<OffsetDateTime>,
    /// Only queued before then.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<OffsetDateTime>,
    /// The `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most: 1 to 500, else 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Lists deliveries, the latest first
///
/// The queue is walked from its end until the page is full. What takes longer than a second is answered as it is, short or empty:
/// go on while there is a `next_cursor`.
#[utoipa::path(get, path = "/v1/deliveries", tag = "deliveries", security(("bearer" = [])), params(Asked),
    responses((status = 200, description = "A page of deliveries", body = Page<DeliveryView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<DeliveryView>>, Fault> {
    let size = size(asked.limit)?;
    let filter = DeliveryFilter {
        status: asked.status.map(|status| status.as_str().to_owned()),
        endpoint: asked.endpoint,
        instance: instance_key(&api, &caller, asked.instance.as_deref()).await?,
        since: asked.since,
        until: asked.until,
        ..DeliveryFilter::default()
    };
    page(&api, &caller, &filter, asked.cursor, size).await
}

/// One page of deliveries.
pub(super) async fn page(
    api: &Api,
    caller: &Caller,
    filter: &DeliveryFilter,
    cursor: Option<Cursor>,
    size: i64,
) -> Result<Json<Page<DeliveryView>>, Fault> {
    let before = cursor.map(|cursor| cursor.0);
    let walk = api
        .database
        .deliveries(caller.reach(), filter, before, size)
        .await?;
    Ok(Json(Page {
        items: walk.found.into_iter().map(DeliveryView::from).collect(),
        next_cursor: walk.next.map(Cursor),
    }))
}

/// The private key of an instance that a filter names.
pub(super) async fn instance_key(
    api: &Api,
    caller: &Caller,
    named: Option<&str>,
) -> Result<Option<i64>, Fault> {
    match named {
        Some(named) => Ok(Some(caller.instance(api, named).await?.id)),
        None => Ok(None),
    }
}

/// Shows a delivery with its attempts
#[utoipa::path(get, path = "/v1/deliveries/{delivery}", tag = "deliveries", security(("bearer" = [])),
    params(("delivery" = i64, Path, description = "Its id")),
    responses((status = 200, description = "The delivery and its attempts", body = DeliveryWithAttempts)))]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<DeliveryWithAttempts>, Fault> {
    let found = api.database.delivery(caller.reach(), id).await?;
    let (line, payload) = found.ok_or_else(|| not_found(id))?;
    let attempts = api.database.attempts_of(line.id).await?;
    Ok(Json(DeliveryWithAttempts {
        delivery: line.into(),
        payload: String::from_utf8_lossy(&payload).into_owned(),
        attempts: attempts.into_iter().map(AttemptView::from).collect(),
    }))
}

/// Sends a delivery again that has arrived or has failed: it gets a full new cycle of attempts
#[utoipa::path(post, path = "/v1/deliveries/{delivery}/resend", tag = "deliveries", security(("bearer" = [])),
    params(("delivery" = i64, Path, description = "Its id")),
    responses((status = 202, description = "It is queued", body = DeliveryView)))]
async fn resend(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<DeliveryView>), Fault> {
    let present = find(&api, &caller, id).await?;
    let filter = DeliveryFilter {
        ids: Some(vec![present.id]),
        ..DeliveryFilter::default()
    };
    if api.database.requeue_within(caller.reach(), &filter).await? == 0 {
        let message = format!(
            "delivery {id} is pending: it will be sent anyway, at {}",
            present.next_retry_at
        );
        return Err(Fault::new(Kind::Conflict, "delivery_pending", message));
    }
    Ok((
        StatusCode::ACCEPTED,
        Json(find(&api, &caller, id).await?.into()),
    ))
}

/// Gives a pending delivery up: it becomes a dead letter. What a worker has in hand may still arrive
#[utoipa::path(post, path = "/v1/deliveries/{delivery}/cancel", tag = "deliveries", security(("bearer" = [])),
    params(("delivery" = i64, Path, description = "Its id")),
    responses((status = 200, description = "The delivery as it is now", body = DeliveryView)))]
async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<DeliveryView>, Fault> {
    let present = find(&api, &caller, id).await?;
    if !api.database.cancel_delivery(caller.reach(), id).await? {
        let message = format!("delivery {id} is {} already", present.status);
        return Err(Fault::new(Kind::Conflict, "delivery_finished", message));
    }
    Ok(Json(find(&api, &caller, id).await?.into()))
}

/// The delivery of this id within reach.
async fn find(api: &Api, caller: &Caller, id: i64) -> Result<DeliveryLine, Fault> {
    let mut found = api.database.delivery_lines(caller.reach(), &[id]).await?;
    found.pop().ok_or_else(|| not_found(id))
}

/// There is none.
fn not_found(id: i64) -> Fault {
    let message = format!("there is no delivery {id} that this token reaches");
    Fault::new(Kind::NotFound, "delivery_not_found", message)
}
