//! Instances: made with their webhook and WebSocket in one request, listed, deleted.

use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::webhook::{RyzeWebhook, RyzeWebhookBody, Wanted};
use super::websocket::{RyzeWebsocket, RyzeWebsocketBody};
use super::{RyzeDone, fault, find_instance, webhook, websocket};
use crate::crypto::token;
use crate::db::administration::{Instance, NewInstance};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::evolution;
use crate::http::extract::{Json, Path, Query};
use crate::http::fault::Fault;

/// Longer names are refused.
const NAME_CHARACTERS_MAX: usize = 100;
/// Instances read by one statement.
const PAGE: i64 = 1000;

/// An instance to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RyzeNewInstance {
    /// Its name.
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9_-]+$")]
    name: Option<String>,
    /// Its token; one is made up where none is given.
    #[schema(min_length = 16, max_length = 255)]
    token: Option<String>,
    /// Whether it gets a webhook, labelled `default`.
    webhook_enabled: Option<bool>,
    /// As `url` of a webhook.
    #[serde(rename = "webhookURL", alias = "webhookUrl")]
    #[schema(max_length = 2048, format = "uri")]
    webhook_url: Option<String>,
    /// As `authorization` of a webhook.
    webhook_authorization: Option<String>,
    /// As `byEvents` of a webhook.
    webhook_by_events: Option<bool>,
    /// As `events` of a webhook.
    webhook_events: Option<Vec<String>>,
    /// As `mediaBase64` of a webhook.
    webhook_media_base64: Option<bool>,
    /// Whether clients may connect by WebSocket.
    websocket_enabled: Option<bool>,
    /// As `events` of a WebSocket.
    websocket_events: Option<Vec<String>>,
    /// As `mediaBase64` of a WebSocket.
    websocket_media_base64: Option<bool>,
}

/// An instance that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeInstanceMade {
    /// Always true.
    success: bool,
    /// What was done.
    message: &'static str,
    /// It, with its token.
    instance: RyzeInstance,
    /// Its webhook, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<RyzeBlock<RyzeWebhook>>,
    /// Its WebSocket, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket: Option<RyzeBlock<RyzeWebsocket>>,
    /// The token once more, for clients that look for it here.
    data: RyzeInstanceToken,
}

/// A part of the request that was done, or could not be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum RyzeBlock<T> {
    /// As it is kept.
    Kept(T),
    /// Not done; why is in the log.
    Failed(RyzeFailed),
}

/// A part of the request that could not be done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RyzeFailed {
    /// Always false.
    enabled: bool,
}

/// Name and token of an instance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeInstanceToken {
    /// Its name.
    name: String,
    /// Its token.
    token: Option<String>,
}

/// An instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RyzeInstance {
    /// Its public id.
    id: String,
    /// Its name.
    name: String,
    /// Its token; as it rests, sealed, where its key is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Its connection, as far as is known here.
    connection: RyzeConnection,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: time::OffsetDateTime,
}

/// The connection of an instance to its network.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RyzeConnection {
    /// `disconnected`: it is the application that is connected, and nothing is known of that here.
    state: &'static str,
    /// Its number, where the instance has a sender.
    #[serde(rename = "numberJid")]
    number_jid: Option<String>,
}

/// Instances.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeInstanceList {
    /// Always true.
    success: bool,
    /// In the order in which they were made.
    instances: Vec<RyzeInstance>,
}

/// `?instanceName=`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceQuery {
    /// Only the instance of this name; empty means all.
    instance_name: Option<String>,
}

/// Creates an instance, with its webhook and WebSocket
///
/// A webhook or WebSocket that cannot be set does not undo the instance: it comes back as `enabled: false`.
#[utoipa::path(post, path = "/api/instance/new", security(("token" = []), ("bearer" = [])),
    request_body = RyzeNewInstance,
    responses((status = 200, description = "The instance", body = RyzeInstanceMade),
        (status = 403, description = "Account instance quota exceeded, or the token is not a TokenAccount", body = fault::RyzeFault),
        (status = 409, description = "Instance already exists", body = fault::RyzeFault)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(body): Body<RyzeNewInstance>,
) -> Result<Json<RyzeInstanceMade>, Fault> {
    caller.for_account()?;
    let name = checked_name(body.name.as_deref())?;
    let token = checked_token(body.token.as_deref())?;
    let new = NewInstance {
        name,
        token: &token,
        sender: None,
        reach: caller.reach(),
        details: None,
    };
    api.database.create_instance(&new, &api.keyring).await?;
    let instance = find_instance(&api, &caller, name).await?;
    evolution::born(&api, &instance).await;
    let webhook = set_webhook(&api, &instance, &body).await;
    let websocket = set_websocket(&api, &instance, &body).await;
    let instance = shown(&api, instance);
    Ok(Json(RyzeInstanceMade {
        success: true,
        message: "Instance created successfully",
        data: RyzeInstanceToken {
            name: instance.name.clone(),
            token: instance.token.clone(),
        },
        instance,
        webhook,
        websocket,
    }))
}

/// Lists instances
#[utoipa::path(get, path = "/api/instance/list", security(("token" = []), ("bearer" = [])),
    params(InstanceQuery),
    responses((status = 200, description = "The instances that the token reaches", body = RyzeInstanceList)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<InstanceQuery>,
) -> Result<Json<RyzeInstanceList>, Fault> {
    let mut instances = Vec::new();
    match query
        .instance_name
        .as_deref()
        .filter(|name| !name.is_empty())
    {
        Some(name) => {
            let found = api.database.find_instance(caller.reach(), name).await?;
            // By its name alone: an id is no name, and somebody may have called an instance like one.
            instances.extend(found.filter(|instance| instance.name == name));
        }
        None => loop {
            let after = instances.last().map_or(0, |last: &Instance| last.id);
            let page = api.database.instances_within(caller.reach(), after, PAGE);
            let page = page.await?;
            if page.is_empty() {
                break;
            }
            instances.extend(page);
        },
    }
    Ok(Json(RyzeInstanceList {
        success: true,
        instances: instances
            .into_iter()
            .map(|instance| shown(&api, instance))
            .collect(),
    }))
}

/// Deletes an instance
///
/// With its webhooks and its WebSocket; what was pending goes to the dead letters.
#[utoipa::path(delete, path = "/api/instance/delete/{instance}", security(("token" = []), ("bearer" = [])),
    params(("instance" = String, Path, description = "The instance's name")),
    responses((status = 200, description = "It is gone", body = RyzeDone)))]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RyzeDone>, Fault> {
    let instance = find_instance(&api, &caller, &name).await?;
    if !evolution::bury(&api, &instance).await? {
        return Err(Fault::instance_not_found(&name));
    }
    Ok(Json(RyzeDone::with("Instance deleted successfully")))
}

/// A name that clients of RyzeAPI can put into a path.
fn checked_name(name: Option<&str>) -> Result<&str, Fault> {
    let name = name.unwrap_or_default();
    if name.is_empty() {
        return Err(fault::refused("name is required"));
    }
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(fault::refused("name too long (max 100 chars)"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !name.bytes().all(allowed) {
        return Err(fault::refused(
            "name may only contain letters, digits, underscore or dash",
        ));
    }
    Ok(name)
}

/// The token that was given, or one made up.
fn checked_token(given: Option<&str>) -> Result<SecretString, Fault> {
    let Some(given) = given.filter(|token| !token.is_empty()) else {
        return Ok(token::generate(&mut rand::rng()));
    };
    if !token::may_be_chosen(given) {
        return Err(fault::refused(
            "token must be 16 to 255 visible ASCII characters, eight of them different; leave it out to have one made up",
        ));
    }
    Ok(given.into())
}

/// Sets the webhook of a new instance. What goes wrong is logged, and the instance stays.
async fn set_webhook(
    api: &Api,
    instance: &Instance,
    body: &RyzeNewInstance,
) -> Option<RyzeBlock<RyzeWebhook>> {
    if !body.webhook_enabled.unwrap_or(false) {
        return None;
    }
    let wanted = RyzeWebhookBody::inline(
        body.webhook_url.clone(),
        body.webhook_authorization.clone(),
        body.webhook_by_events,
        body.webhook_events.clone(),
        body.webhook_media_base64,
    );
    let set = async {
        let wanted = Wanted::checked(api, &wanted)?;
        webhook::put(api, instance, &wanted).await
    };
    Some(block("webhook", instance, set.await))
}

/// Sets the WebSocket of a new instance. What goes wrong is logged, and the instance stays.
async fn set_websocket(
    api: &Api,
    instance: &Instance,
    body: &RyzeNewInstance,
) -> Option<RyzeBlock<RyzeWebsocket>> {
    if !body.websocket_enabled.unwrap_or(false) {
        return None;
    }
    let wanted = RyzeWebsocketBody {
        enabled: true,
        events: body.websocket_events.clone(),
        media_base64: body.websocket_media_base64,
    };
    let set = async {
        websocket::check(&wanted)?;
        websocket::put(api, instance, &wanted).await
    };
    Some(block("WebSocket", instance, set.await))
}

/// What became of a part.
fn block<T>(what: &str, instance: &Instance, set: Result<T, Fault>) -> RyzeBlock<T> {
    set.map_or_else(
        |problem| {
            tracing::warn!(
                instance.name,
                problem = problem.message,
                "the {what} of a new instance could not be set; the instance is there without it"
            );
            RyzeBlock::Failed(RyzeFailed { enabled: false })
        },
        RyzeBlock::Kept,
    )
}

/// A row as its owner sees it. A token that no key opens is shown as it rests.
fn shown(api: &Api, instance: Instance) -> RyzeInstance {
    let token = instance
        .token
        .map(|stored| match api.keyring.open(&stored) {
            Ok(opened) => opened.expose_secret().to_owned(),
            Err(problem) => {
                tracing::warn!(
                    instance.name,
                    %problem,
                    "the token of an instance is shown as it rests, encrypted"
                );
                stored
            }
        });
    RyzeInstance {
        id: instance.uid,
        name: instance.name,
        token,
        connection: RyzeConnection {
            state: "disconnected",
            number_jid: instance.sender,
        },
        created_at: instance.created_at,
    }
}
