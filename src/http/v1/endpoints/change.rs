//! Changing and deleting an endpoint.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::given::Given;
use super::view::{ChannelName, DialectName, EndpointView};
use super::{find, settings, values};
use crate::db::administration::{
    EndpointChanges, EndpointLine, EndpointRules, EndpointShown, Existing,
};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;
use crate::model::Reach;

/// What is to become of an endpoint. What is left out stays as it is; where null stands for something, it is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointChange {
    /// Where deliveries go.
    #[schema(format = "uri")]
    #[schema(max_length = 2048, format = "uri")]
    url: Option<String>,
    /// Event types it wants; an empty list: all but those that begin with `postrider.`.
    events: Option<Vec<String>>,
    /// Whether the event type is appended to the URL.
    by_events: Option<bool>,
    /// Whether it wants base64 media inside the event.
    media_base64: Option<bool>,
    /// The full value of the `Authorization` header; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    authorization: Given<String>,
    /// Headers to send with every delivery, all of them; null removes them.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    headers: Given<BTreeMap<String, String>>,
    /// null: deliveries are signed no more. To change the secret, rotate it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    signing_secret: Given<String>,
    /// Its row of the backoff table.
    schedule: Option<String>,
    /// Attempts before a delivery is dead.
    #[schema(minimum = 1, maximum = 1000)]
    max_attempts: Option<i32>,
    /// The whole attempt, in milliseconds.
    #[schema(minimum = 1000, maximum = 60000)]
    timeout_ms: Option<i32>,
    /// Attempts in flight in one worker.
    #[schema(minimum = 1, maximum = 10000)]
    max_in_flight: Option<i32>,
    /// true: deliveries go out, and what was held is released; false: no new ones are queued, and pending ones are held.
    enabled: Option<bool>,
    /// What its channel needs, all of it; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    settings: Given<Value>,
}

/// Changes an endpoint
#[utoipa::path(patch, path = "/v1/endpoints/{endpoint}", tag = "endpoints", security(("bearer" = [])),
    params(("endpoint" = i64, Path, description = "Its id")),
    responses((status = 200, description = "The endpoint as it is now", body = EndpointView)))]
pub(super) async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(asked): Json<EndpointChange>,
) -> Result<Json<EndpointView>, Fault> {
    let present = find(&api, &caller, id).await?;
    let changes = asked.changes(&api, &present, caller.reach())?;
    api.database.set_endpoint(&changes, &api.keyring).await?;
    let now = find(&api, &caller, id).await?;
    Ok(Json(EndpointView::new(now, &api.keyring)))
}

/// Deletes an endpoint; what was pending for it goes to the dead letters
#[utoipa::path(delete, path = "/v1/endpoints/{endpoint}", tag = "endpoints", security(("bearer" = [])),
    params(("endpoint" = i64, Path, description = "Its id")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Fault> {
    let present = find(&api, &caller, id).await?;
    api.database.delete_endpoint(present.line.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl EndpointChange {
    /// Checked, as it is to be written.
    fn changes<'a>(
        &'a self,
        api: &Api,
        present: &'a EndpointShown,
        reach: Reach,
    ) -> Result<EndpointChanges<'a>, Fault> {
        let line = &present.line;
        self.check_url(api, line)?;
        self.events.as_deref().map_or(Ok(()), values::events)?;
        values::within("max_attempts", self.max_attempts, 1..=1000)?;
        values::within("timeout_ms", self.timeout_ms, 1000..=60_000)?;
        values::within("max_in_flight", self.max_in_flight, 1..=10_000)?;
        let signing = self
            .signing_secret
            .change(|text| values::signing_secret(text))?;
        Ok(EndpointChanges {
            instance: &line.instance,
            url: self.url.as_deref().unwrap_or(&line.url),
            label: &line.label,
            channel: &line.channel,
            dialect: &line.dialect,
            rules: EndpointRules {
                existing: Existing::Yes,
                account: Some(reach.account),
                ..EndpointRules::default()
            },
            state: self
                .enabled
                .map(|on| if on { "enabled" } else { "disabled" }),
            settings: self.settings.change(|settings| {
                settings::check(settings, channel(line), dialect(line), &api.guard)
            })?,
            events: self.events.clone(),
            authorization: self
                .authorization
                .change(|text| values::authorization(text.clone()))?,
            headers: self
                .headers
                .change(|headers| values::headers(headers.clone()))?,
            signing,
            by_events: self.by_events,
            media_base64: self.media_base64,
            schedule: self.schedule.as_deref(),
            max_attempts: self.max_attempts,
            timeout_ms: self.timeout_ms,
            max_in_flight: self.max_in_flight,
        })
    }

    /// Only webhooks have a URL.
    fn check_url(&self, api: &Api, line: &EndpointLine) -> Result<(), Fault> {
        match &self.url {
            None => Ok(()),
            Some(url) if line.channel == "webhook" => values::url(url, &api.guard),
            Some(_) => {
                let message = "url: only webhooks have one; other channels are told by settings";
                Err(Fault::invalid("url", message))
            }
        }
    }
}

/// Its channel, as its settings depend on it.
fn channel(line: &EndpointLine) -> ChannelName {
    serde_json::from_value(line.channel.clone().into()).unwrap_or_default()
}

/// Its dialect, as its settings depend on it.
fn dialect(line: &EndpointLine) -> DialectName {
    serde_json::from_value(line.dialect.clone().into()).unwrap_or_default()
}
