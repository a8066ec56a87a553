//! `/instance/create`, with all its channels.

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::body::{Block, Channel};
use super::super::channel::{check_url, write};
use super::super::fault::invalid;
use super::super::plain::EvolutionChannelBlock;
use super::super::pusher::EvolutionPusherBlock;
use super::super::tenant::global;
use super::super::view::Shown;
use super::super::webhook::EvolutionWebhookBlock;
use super::news;
use super::request::{Wanted, read};
use crate::config::EvolutionCompat;
use crate::db::administration::{EndpointRecord, Instance, NewInstance};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::Json;
use crate::http::fault::{Fault, Kind};

/// What `/instance/create` takes. A channel's block is enabled by being there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it stands for what `request` reads by hand")]
struct EvolutionNewInstance {
    /// Its name.
    #[schema(min_length = 1, max_length = 255)]
    instance_name: String,
    /// WHATSAPP-BAILEYS, WHATSAPP-BUSINESS or EVOLUTION.
    integration: Option<String>,
    /// Its key; one is made up where none is given.
    token: Option<String>,
    /// Its number.
    number: Option<String>,
    /// Its webhook.
    webhook: Option<EvolutionWebhookBlock>,
    /// Its websocket.
    websocket: Option<EvolutionChannelBlock>,
    /// Its `RabbitMQ` channel.
    rabbitmq: Option<EvolutionChannelBlock>,
    /// Its SQS channel.
    sqs: Option<EvolutionChannelBlock>,
    /// Its Pusher application.
    pusher: Option<EvolutionPusherBlock>,
}

/// A new instance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvolutionCreated {
    /// The instance.
    instance: EvolutionCreatedInstance,
    /// Its key.
    hash: String,
    /// Its webhook: `webhookUrl`, `webhookHeaders`, `webhookByEvents`, `webhookBase64`.
    webhook: Map<String, Value>,
    /// Its websocket: `enabled`.
    websocket: Map<String, Value>,
    /// Its `RabbitMQ` channel: `enabled`.
    rabbitmq: Map<String, Value>,
    /// Its SQS channel: `enabled`.
    sqs: Map<String, Value>,
    /// Its Pusher application: `enabled`.
    pusher: Map<String, Value>,
    /// How it is to behave.
    settings: Value,
}

/// What it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EvolutionCreatedInstance {
    /// Its name.
    instance_name: String,
    /// Its id.
    instance_id: String,
    /// What it was made for.
    integration: String,
    /// None: there is no connection to set up.
    webhook_wa_business: Option<String>,
    /// None.
    access_token_wa_business: &'static str,
    /// `created`.
    status: &'static str,
}

/// Makes an instance and its channels, or nothing.
#[utoipa::path(post, path = "/instance/create", request_body = EvolutionNewInstance, security(("apikey" = [])),
    responses((status = 201, description = "The instance", body = EvolutionCreated)))]
pub(super) async fn create(
    State(api): State<Api>,
    request: Request,
) -> Result<(StatusCode, Json<EvolutionCreated>), Fault> {
    let (caller, body) = enter(&api, request).await?;
    let wanted = read(&body).map_err(|problems| invalid(&problems))?;
    for (channel, block) in &wanted.blocks {
        check_url(&api, *channel, block)?;
    }
    let token = wanted.token.clone();
    let token = token.unwrap_or_else(|| Uuid::new_v4().to_string().to_uppercase().into());
    let instance = make(&api, &caller, &wanted, &token).await?;
    let endpoints = match write_all(&api, &instance, wanted.blocks).await {
        Ok(endpoints) => endpoints,
        Err(fault) => {
            // All of it or nothing: an instance without its webhook would lose events and say nothing.
            api.database.delete_instance(&instance.sql_name).await?;
            return Err(fault);
        }
    };
    news::created(&api, &instance).await;
    let block = |channel: Channel| shown(&api, &instance, &endpoints, channel);
    let created = EvolutionCreated {
        instance: EvolutionCreatedInstance {
            instance_name: instance.name.clone(),
            instance_id: instance.uid.clone(),
            integration: wanted.integration,
            webhook_wa_business: None,
            access_token_wa_business: "",
            status: "created",
        },
        hash: token.expose_secret().to_owned(),
        webhook: block(Channel::Webhook),
        websocket: block(Channel::Websocket),
        rabbitmq: block(Channel::Rabbitmq),
        sqs: block(Channel::Sqs),
        pusher: block(Channel::Pusher),
        settings: wanted.settings,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// The caller, with a global key, and the body. The key comes first; the system itself tells everybody which names are taken,
/// which `evolution.compat` brings back.
async fn enter(api: &Api, request: Request) -> Result<(Caller, Value), Fault> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, api).await;
    let allowed = caller.and_then(|caller| global(&caller).map(|()| caller));
    let is_2_3 = api.config.evolution.compat == EvolutionCompat::Version23;
    if !is_2_3 {
        let caller = allowed?;
        let Json(body) = Json::from_request(Request::from_parts(parts, body), api).await?;
        return Ok((caller, body));
    }
    let Json(body) = Json::<Value>::from_request(Request::from_parts(parts, body), api).await?;
    if let Some(name) = body.get("instanceName").and_then(Value::as_str)
        && api.database.has_instance(name).await?
    {
        return Err(taken(name));
    }
    allowed.map(|caller| (caller, body))
}

/// Makes the instance itself.
async fn make(
    api: &Api,
    caller: &Caller,
    wanted: &Wanted,
    token: &SecretString,
) -> Result<Instance, Fault> {
    let sender = wanted.number.as_ref().map(|number| jid(number));
    let details = json!({
        "integration": wanted.integration, "number": wanted.number, "settings": wanted.settings,
    });
    let new = NewInstance {
        name: &wanted.name,
        token,
        sender: sender.as_deref(),
        reach: caller.reach(),
        details: Some(&details),
    };
    if let Err(error) = api.database.create_instance(&new, &api.keyring).await {
        let fault = Fault::from(error);
        let is_taken =
            fault.kind == Kind::Conflict && caller.instance(api, &wanted.name).await.is_ok();
        return Err(if is_taken { taken(&wanted.name) } else { fault });
    }
    caller.instance(api, &wanted.name).await
}

/// Somebody has this name.
fn taken(name: &str) -> Fault {
    let message = format!("This name \"{name}\" is already in use.");
    Fault::new(Kind::Forbidden, "name_in_use", message)
}

/// A number as its consumers know it.
fn jid(number: &str) -> String {
    if number.contains('@') {
        number.to_owned()
    } else {
        format!("{number}@s.whatsapp.net")
    }
}

/// Makes the endpoints.
async fn write_all(
    api: &Api,
    instance: &Instance,
    blocks: Vec<(Channel, Block)>,
) -> Result<Vec<(Channel, EndpointRecord)>, Fault> {
    let mut endpoints = Vec::with_capacity(blocks.len());
    for (channel, block) in blocks {
        endpoints.push((channel, write(api, instance, channel, block).await?));
    }
    Ok(endpoints)
}

/// What the answer says of a channel; nothing of one that was not asked for.
fn shown(
    api: &Api,
    instance: &Instance,
    endpoints: &[(Channel, EndpointRecord)],
    channel: Channel,
) -> Map<String, Value> {
    let mut shown = Map::new();
    let Some((_, endpoint)) = endpoints.iter().find(|(made, _)| *made == channel) else {
        return shown;
    };
    if channel != Channel::Webhook {
        shown.insert("enabled".to_owned(), json!(endpoint.state != "disabled"));
        return shown;
    }
    let view = Shown::of(api, instance, endpoint);
    shown.insert("webhookUrl".to_owned(), json!(endpoint.url));
    shown.insert("webhookHeaders".to_owned(), json!(view.headers()));
    shown.insert("webhookByEvents".to_owned(), json!(endpoint.by_events));
    shown.insert("webhookBase64".to_owned(), json!(endpoint.media_base64));
    shown
}
