//! Webhooks: a row for each instance and label. Setting one says all of it: what is not said is cleared.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::label::{LabelQuery, label};
use super::{DIALECT, RyzeDone, fault, find_instance, known_events, shown_events};
use crate::db::administration::{
    Change, EndpointChanges, EndpointFilter, EndpointRecord, EndpointRules, Instance,
};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::Fault;
use crate::http::target::check_target;

/// So many webhooks of an instance may be enabled.
const ENABLED_MAX: i64 = 3;
/// Longer values of a header are refused.
const AUTHORIZATION_BYTES_MAX: usize = 4096;
/// More events than this are nobody's list: there are six.
const EVENTS_MAX: usize = 100;

/// What a webhook is to be like.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RyzeWebhookBody {
    /// Its name within the instance; `default` where there is none.
    #[schema(max_length = 50, pattern = "^[A-Za-z0-9_-]*$")]
    label: Option<String>,
    /// Whether it gets events; at most three of an instance do. False keeps the row and clears the rest.
    enabled: bool,
    /// Where events go; needed where it is enabled.
    #[schema(max_length = 2048, format = "uri")]
    url: Option<String>,
    /// The whole `Authorization` header of each delivery.
    #[schema(max_length = 4096)]
    authorization: Option<String>,
    /// Whether the event's name is appended to the URL.
    by_events: Option<bool>,
    /// Which events; none or an empty list: all.
    #[schema(max_items = 100)]
    events: Option<Vec<String>>,
    /// Whether media comes as base64.
    media_base64: Option<bool>,
}

impl RyzeWebhookBody {
    /// The webhook of an instance that is being made.
    pub(super) fn inline(
        url: Option<String>,
        authorization: Option<String>,
        by_events: Option<bool>,
        events: Option<Vec<String>>,
        media_base64: Option<bool>,
    ) -> Self {
        Self {
            label: None,
            enabled: true,
            url,
            authorization,
            by_events,
            events,
            media_base64,
        }
    }
}

/// A webhook as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RyzeWebhook {
    /// Its name within the instance.
    label: String,
    /// Whether it gets events.
    enabled: bool,
    /// Where they go; empty where it is disabled.
    url: String,
    /// The whole `Authorization` header; as it rests, sealed, where its key is gone.
    authorization: Option<String>,
    /// Whether the event's name is appended to the URL.
    by_events: bool,
    /// Which events.
    events: Vec<String>,
    /// Whether media comes as base64.
    media_base64: bool,
}

/// One webhook, after it was set.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeWebhookSet {
    /// Always true.
    success: bool,
    /// What was done.
    message: &'static str,
    /// As it is kept.
    webhook: RyzeWebhook,
}

/// One webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeWebhookShown {
    /// Always true.
    success: bool,
    /// As it is kept.
    webhook: RyzeWebhook,
}

/// All webhooks of an instance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeWebhookList {
    /// Always true.
    success: bool,
    /// By label, disabled ones included.
    webhooks: Vec<RyzeWebhook>,
}

/// Webhooks, as `?label=` asks for them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum RyzeWebhooks {
    /// The one of a label.
    One(RyzeWebhookShown),
    /// All.
    All(RyzeWebhookList),
}

/// Sets the webhook of a label
///
/// Creates or overwrites it; asking twice changes nothing. At most three of an instance are enabled.
#[utoipa::path(post, path = "/api/events/webhook/{instance}", security(("token" = []), ("bearer" = [])),
    request_body = RyzeWebhookBody,
    params(("instance" = String, Path, description = "The instance's name")),
    responses((status = 200, description = "The webhook as it is kept", body = RyzeWebhookSet)))]
pub(super) async fn set(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(body): Body<RyzeWebhookBody>,
) -> Result<Json<RyzeWebhookSet>, Fault> {
    let wanted = Wanted::checked(&api, &body)?;
    let instance = find_instance(&api, &caller, &name).await?;
    let webhook = put(&api, &instance, &wanted).await?;
    Ok(Json(RyzeWebhookSet {
        success: true,
        message: "Webhook configured successfully",
        webhook,
    }))
}

/// Lists webhooks, or shows the one of a label
///
/// Without `?label=` all of them, sorted by label, disabled ones included; with it just that one.
#[utoipa::path(get, path = "/api/events/getWebhook/{instance}", security(("token" = []), ("bearer" = [])),
    params(("instance" = String, Path, description = "The instance's name"), LabelQuery),
    responses((status = 200, description = "The webhooks", body = RyzeWebhooks)))]
pub(super) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<LabelQuery>,
) -> Result<Response, Fault> {
    let wanted = query.label.as_deref().map(|given| label(Some(given)));
    let wanted = wanted.transpose()?;
    let instance = find_instance(&api, &caller, &name).await?;
    let webhooks = webhooks(&api, &instance, wanted).await?;
    Ok(match wanted {
        None => Json(RyzeWebhooks::All(RyzeWebhookList {
            success: true,
            webhooks,
        })),
        Some(_) => Json(RyzeWebhooks::One(RyzeWebhookShown {
            success: true,
            webhook: webhooks.into_iter().next().ok_or_else(not_configured)?,
        })),
    }
    .into_response())
}

/// Lists webhooks, or shows the one of a label, under the path that sets them
#[utoipa::path(get, path = "/api/events/webhook/{instance}", security(("token" = []), ("bearer" = [])),
    params(("instance" = String, Path, description = "The instance's name"), LabelQuery),
    responses((status = 200, description = "The webhooks", body = RyzeWebhooks)))]
pub(super) async fn get_alias(
    api: State<Api>,
    caller: Caller,
    name: Path<String>,
    query: Query<LabelQuery>,
) -> Result<Response, Fault> {
    get(api, caller, name, query).await
}

/// Deletes the webhook of a label
///
/// What was pending for it goes to the dead letters. To keep the row, set `enabled` to false instead.
#[utoipa::path(delete, path = "/api/events/webhook/{instance}", security(("token" = []), ("bearer" = [])),
    params(("instance" = String, Path, description = "The instance's name"), LabelQuery),
    responses((status = 200, description = "It is gone", body = RyzeDone)))]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<LabelQuery>,
) -> Result<Json<RyzeDone>, Fault> {
    let label = label(query.label.as_deref())?;
    let instance = find_instance(&api, &caller, &name).await?;
    let records = records(&api, &instance, Some(label)).await?;
    let record = records.first().ok_or_else(not_configured)?;
    if !api.database.delete_endpoint(record.id).await? {
        return Err(not_configured());
    }
    Ok(Json(RyzeDone::with("Webhook deleted successfully")))
}

/// What a webhook is to be, looked at.
pub(super) struct Wanted<'a> {
    label: &'a str,
    enabled: bool,
    /// Empty where it is disabled.
    url: &'a str,
    authorization: Option<SecretString>,
    by_events: bool,
    events: Vec<String>,
    media_base64: bool,
}

impl<'a> Wanted<'a> {
    /// Whether all of it can be accepted.
    pub(super) fn checked(api: &Api, body: &'a RyzeWebhookBody) -> Result<Self, Fault> {
        let label = label(body.label.as_deref())?;
        let url = body.url.as_deref().unwrap_or_default();
        if !url.is_empty() || body.enabled {
            check_target(api, "url", url).map_err(|unfit| fault::refused(unfit.message))?;
        }
        let authorization = body
            .authorization
            .as_deref()
            .filter(|text| !text.is_empty());
        if let Some(text) = authorization {
            check_authorization(text)?;
        }
        let events = body.events.as_deref().unwrap_or_default();
        if events.len() > EVENTS_MAX {
            return Err(fault::refused(format!(
                "events has {} entries; name each of the six events once",
                events.len()
            )));
        }
        known_events(events).map_err(fault::refused)?;
        let cleared = !body.enabled;
        Ok(Self {
            label,
            enabled: body.enabled,
            url: if cleared { "" } else { url },
            authorization: authorization.filter(|_| !cleared).map(SecretString::from),
            by_events: body.by_events.unwrap_or(false),
            events: if cleared { Vec::new() } else { events.to_vec() },
            media_base64: !cleared && body.media_base64.unwrap_or(false),
        })
    }
}

/// Whether a text can stand in a header.
fn check_authorization(text: &str) -> Result<(), Fault> {
    if text.len() > AUTHORIZATION_BYTES_MAX {
        return Err(fault::refused(format!(
            "authorization is longer than {AUTHORIZATION_BYTES_MAX} bytes"
        )));
    }
    if HeaderValue::from_str(text).is_err() {
        return Err(fault::refused(
            "authorization has characters that no header may have; send the whole header value, like \"Bearer abc\"",
        ));
    }
    Ok(())
}

/// Writes a webhook; as it is kept then.
pub(super) async fn put(
    api: &Api,
    instance: &Instance,
    wanted: &Wanted<'_>,
) -> Result<RyzeWebhook, Fault> {
    let changes = EndpointChanges {
        instance: &instance.sql_name,
        label: wanted.label,
        channel: "webhook",
        dialect: DIALECT,
        url: wanted.url,
        state: Some(if wanted.enabled {
            "enabled"
        } else {
            "disabled"
        }),
        rules: EndpointRules {
            enabled_max: Some(ENABLED_MAX),
            ..EndpointRules::default()
        },
        authorization: match &wanted.authorization {
            Some(header) => Change::To(header.clone()),
            None => Change::Remove,
        },
        by_events: Some(wanted.by_events),
        events: Some(wanted.events.clone()),
        media_base64: Some(wanted.media_base64),
        ..EndpointChanges::default()
    };
    api.database.set_endpoint(&changes, &api.keyring).await?;
    let kept = webhooks(api, instance, Some(wanted.label)).await?;
    kept.into_iter().next().ok_or_else(not_configured)
}

/// The webhooks of an instance as they are kept, by label.
async fn webhooks(
    api: &Api,
    instance: &Instance,
    label: Option<&str>,
) -> Result<Vec<RyzeWebhook>, Fault> {
    let records = records(api, instance, label).await?;
    Ok(records
        .into_iter()
        .map(|record| shown(api, instance, record))
        .collect())
}

/// The rows of webhooks made the RyzeAPI way.
async fn records(
    api: &Api,
    instance: &Instance,
    label: Option<&str>,
) -> Result<Vec<EndpointRecord>, Fault> {
    let filter = EndpointFilter {
        dialect: Some(DIALECT),
        channel: Some("webhook"),
        label,
        ..EndpointFilter::default()
    };
    let found = api.database.endpoint_records(instance, filter).await;
    // The documents have no words for one that cannot be read but those for its instance.
    found.map_err(fault::failing_to(match label {
        None => "Failed to list webhook configurations",
        Some(_) => "Failed to get instance",
    }))
}

/// A row as its owner sees it. What no key opens is shown as it rests.
fn shown(api: &Api, instance: &Instance, record: EndpointRecord) -> RyzeWebhook {
    let authorization = record
        .authorization_header
        .map(|stored| match api.keyring.open(&stored) {
            Ok(opened) => opened.expose_secret().to_owned(),
            Err(problem) => {
                tracing::warn!(
                    instance.name,
                    endpoint.label = record.label,
                    %problem,
                    "the authorization of a webhook is shown as it rests, encrypted"
                );
                stored
            }
        });
    // Paused is our doing, not its owner's.
    let enabled = record.state != "disabled";
    RyzeWebhook {
        label: record.label,
        enabled,
        url: record.url,
        authorization,
        by_events: record.by_events,
        events: shown_events(enabled, record.events),
        media_base64: record.media_base64,
    }
}

/// There is none of that label.
fn not_configured() -> Fault {
    fault::missing("Webhook not configured for this label")
}
