//! Events, and their types.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deliveries::DeliveryView;
use super::page::{Cursor, Page, size};
use crate::db::administration::{EventFilter, EventLine};
use crate::dialect;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::{Fault, Kind};

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(types_of))
        .routes(routes!(types))
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    /// Its id.
    id: String,
    /// The name of its instance.
    instance: String,
    /// Its type.
    #[serde(rename = "type")]
    event_type: String,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// As it was given.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// An event with what became of it.
#[derive(Debug, Serialize, ToSchema)]
struct EventWithDeliveries {
    /// The event.
    event: EventView,
    /// Its deliveries, replays included, as long as they are kept.
    deliveries: Vec<DeliveryView>,
}

/// What a type is called.
#[derive(Debug, Serialize, ToSchema)]
struct EventName {
    /// In which dialect.
    dialect: &'static str,
    /// A type, as events are emitted or filters name it.
    #[serde(rename = "type")]
    event_type: String,
    /// What endpoints of this dialect call it.
    name: &'static str,
}

/// Types that have names in several dialects.
#[derive(Debug, Serialize, ToSchema)]
struct EventNames {
    /// All of them. Other types are allowed, and pass through under their own names.
    items: Vec<EventName>,
}

/// A type that was seen.
#[derive(Debug, Serialize, ToSchema)]
struct SeenType {
    /// The type.
    #[serde(rename = "type")]
    event_type: String,
    /// How often, among the latest events.
    events: i64,
}

/// Types that were seen.
#[derive(Debug, Serialize, ToSchema)]
struct SeenTypes {
    /// By name.
    items: Vec<SeenType>,
}

/// Which events, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Only of this type.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Only since then.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<OffsetDateTime>,
    /// Only before then.
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

/// Lists the events of an instance, the latest first
#[utoipa::path(get, path = "/v1/instances/{instance}/events", tag = "events", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids"), Asked),
    responses((status = 200, description = "A page of events", body = Page<EventView>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Page<EventView>>, Fault> {
    let size = size(asked.limit)?;
    let instance = caller.instance(&api, &named).await?;
    let filter = EventFilter {
        event_type: asked.event_type,
        since: asked.since,
        until: asked.until,
    };
    let before = asked.cursor.map(|cursor| cursor.0);
    let walk = api
        .database
        .events(&instance, &filter, before, size)
        .await?;
    let items = walk.found.into_iter().map(view).collect::<Result<_, _>>()?;
    Ok(Json(Page {
        items,
        next_cursor: walk.next.map(Cursor),
    }))
}

/// Shows an event with its deliveries
#[utoipa::path(get, path = "/v1/events/{event}", tag = "events", security(("bearer" = [])),
    params(("event" = String, Path, description = "Its id")),
    responses((status = 200, description = "The event and its deliveries", body = EventWithDeliveries)))]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EventWithDeliveries>, Fault> {
    let found = api.database.event(caller.reach(), &id).await?;
    let event = found.ok_or_else(|| {
        let message = format!(
            "there is no event {id:?} that this token reaches; retention may have removed it"
        );
        Fault::new(Kind::NotFound, "event_not_found", message)
    })?;
    let deliveries = api.database.deliveries_of(caller.reach(), &event).await?;
    Ok(Json(EventWithDeliveries {
        event: view(event)?,
        deliveries: deliveries.into_iter().map(DeliveryView::from).collect(),
    }))
}

/// Lists the types of an instance's latest events
#[utoipa::path(get, path = "/v1/instances/{instance}/event-types", tag = "events", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids")),
    responses((status = 200, description = "The types", body = SeenTypes)))]
async fn types_of(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
) -> Result<Json<SeenTypes>, Fault> {
    let instance = caller.instance(&api, &named).await?;
    let seen = api.database.event_types_of(&instance).await?;
    let items = seen
        .into_iter()
        .map(|(event_type, events)| SeenType { event_type, events })
        .collect();
    Ok(Json(SeenTypes { items }))
}

/// Lists the types that have names in several dialects: an event of one reaches the endpoints of all
#[utoipa::path(get, path = "/v1/event-types", tag = "events", security(("bearer" = [])),
    responses((status = 200, description = "The names", body = EventNames)))]
async fn types(_: Caller) -> Json<EventNames> {
    let items = dialect::event_names()
        .into_iter()
        .map(|(dialect, event_type, name, _)| EventName {
            dialect: dialect.as_str(),
            event_type,
            name,
        })
        .collect();
    Json(EventNames { items })
}

/// As it is shown.
fn view(event: EventLine) -> Result<EventView, Fault> {
    Ok(EventView {
        id: event.id,
        instance: event.instance,
        event_type: event.event_type,
        created_at: event.created_at,
        // A column of type json holds JSON.
        data: RawValue::from_string(event.data).map_err(|error| Fault::internal(&error))?,
    })
}
