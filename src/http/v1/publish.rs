//! Publishing events.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::sender::sender;
use crate::db::administration::NewEvent;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// Events of one batch.
const BATCH_MAX: usize = 10_000;

/// The header that may give the key.
const KEY: &str = "Idempotency-Key";

/// Longer keys are not kept.
const KEY_CHARACTERS_MAX: usize = 255;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(one))
        .routes(routes!(batch))
}

/// An event to be published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EventRequest {
    /// Its type: 1 to 200 characters without spaces or control characters.
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 200, example = "order.paid")]
    event_type: String,
    /// Any JSON; its bytes are kept as they are.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// A second event with the same key within 24 hours is not published: the answer has the id of the first.
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
    /// Who sent it, for envelopes that tell; else the instance's own sender is told.
    #[schema(max_length = 255, example = "5511999999999@s.whatsapp.net")]
    sender: Option<String>,
}

/// Events to be published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchRequest {
    /// 1 to 10,000 events, published all or none, in this order.
    #[schema(min_items = 1, max_items = 10000)]
    events: Vec<EventRequest>,
}

/// An event that was published.
#[derive(Debug, Serialize, ToSchema)]
struct Published {
    /// Its id: also the `webhook-id` of its deliveries.
    #[schema(example = "evt_17_1a2b3c4d")]
    id: String,
}

/// Events that were published.
#[derive(Debug, Serialize, ToSchema)]
struct BatchPublished {
    /// Their ids, in the order of the events.
    ids: Vec<String>,
}

/// Publishes an event
///
/// The answer comes when it is committed: from then on it will be delivered.
#[utoipa::path(post, path = "/v1/instances/{instance}/events", tag = "events", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids"),
           ("Idempotency-Key" = Option<String>, Header, description = "The same as `idempotency_key`, which wins")),
    responses((status = 202, description = "It is committed, and its deliveries are queued", body = Published)))]
async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
    headers: HeaderMap,
    Json(event): Json<EventRequest>,
) -> Result<(StatusCode, Json<Published>), Fault> {
    let new = event.new_event("", key(&headers)?)?;
    let reach = caller.reach();
    let mut published = api.database.publish(reach, &named, new).await?;
    if published.is_none() {
        // By one of its ids, or not at all.
        let instance = caller.instance(&api, &named).await?;
        published = api.database.publish(reach, &instance.name, new).await?;
    }
    let id = published.ok_or_else(|| Fault::instance_not_found(&named))?;
    Ok((StatusCode::ACCEPTED, Json(Published { id })))
}

/// Publishes many events, all or none
#[utoipa::path(post, path = "/v1/instances/{instance}/events/batch", tag = "events", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids")),
    responses((status = 202, description = "They are committed, and their deliveries are queued", body = BatchPublished)))]
async fn batch(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
    Json(asked): Json<BatchRequest>,
) -> Result<(StatusCode, Json<BatchPublished>), Fault> {
    if asked.events.is_empty() || asked.events.len() > BATCH_MAX {
        let message = format!(
            "events: 1 to {BATCH_MAX} of them, not {}",
            asked.events.len()
        );
        return Err(Fault::invalid("events", message));
    }
    let events = asked.events.iter().enumerate();
    let new: Vec<NewEvent<'_>> = events
        .map(|(at, event)| event.new_event(&format!("events[{at}]."), None))
        .collect::<Result<_, _>>()?;
    let reach = caller.reach();
    let mut published = api.database.publish_batch(reach, &named, &new).await?;
    if published.is_none() {
        let instance = caller.instance(&api, &named).await?;
        published = api
            .database
            .publish_batch(reach, &instance.name, &new)
            .await?;
    }
    let ids = published.ok_or_else(|| Fault::instance_not_found(&named))?;
    Ok((StatusCode::ACCEPTED, Json(BatchPublished { ids })))
}

/// The key that the header gives. One that cannot be read is refused: without it a retry would publish a second time.
fn key(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let key = headers.get(KEY).map(HeaderValue::to_str).transpose();
    key.map_err(|_| {
        let message = format!(
            "the header {KEY} has characters other than ASCII, which headers do not carry; send it as idempotency_key in the body"
        );
        Fault::invalid(KEY, message)
    })
}

impl EventRequest {
    /// Checked; `place` is what stands before its fields.
    fn new_event<'a>(
        &'a self,
        place: &str,
        header: Option<&'a str>,
    ) -> Result<NewEvent<'a>, Fault> {
        let blank = |character: char| character.is_whitespace() || character.is_control();
        let length = self.event_type.chars().count();
        if !(1..=200).contains(&length) || self.event_type.contains(blank) {
            let place = format!("{place}type");
            let message = format!(
                "{place} is 1 to 200 characters without spaces or control characters, for example order.paid"
            );
            return Err(Fault::invalid(place, message));
        }
        let key = self.idempotency_key.as_deref().or(header);
        let usable = |key: &str| (1..=KEY_CHARACTERS_MAX).contains(&key.chars().count());
        if !key.is_none_or(usable) {
            let place = format!("{place}idempotency_key");
            let message = format!("{place} is 1 to {KEY_CHARACTERS_MAX} characters");
            return Err(Fault::invalid(place, message));
        }
        if let Some(text) = &self.sender {
            sender(format!("{place}sender"), text)?;
        }
        Ok(NewEvent {
            event_type: &self.event_type,
            data: self.data.get(),
            idempotency_key: key,
            sender: self.sender.as_deref(),
        })
    }
}
