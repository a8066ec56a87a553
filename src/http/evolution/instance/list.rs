//! `/instance/fetchInstances`.

use axum::extract::State;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::view::{EvolutionChannel, Shown};
use super::{connection, news};
use crate::db::administration::{EndpointRecord, Instance};
use crate::dialect::timestamp;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Query};
use crate::http::fault::{Fault, Kind};

/// Instances read at a time.
const PAGE: i64 = 1000;

/// Which instances.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    /// The one of this name.
    instance_name: Option<String>,
    /// The one of this id.
    instance_id: Option<String>,
    /// Those with this number.
    number: Option<String>,
}

/// An instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EvolutionInstance {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// open or close.
    connection_status: String,
    /// Who sends for it.
    owner_jid: Option<String>,
    /// Unknown here.
    profile_name: Option<String>,
    /// Unknown here.
    profile_pic_url: Option<String>,
    /// Which integration it was made for.
    integration: Value,
    /// Its number.
    number: Value,
    /// Unknown here.
    business_id: Option<String>,
    /// Its key.
    token: Option<String>,
    /// Who made it.
    client_name: &'static str,
    /// When it was made.
    created_at: String,
    /// When it last changed.
    updated_at: String,
    /// Its `RabbitMQ` channel.
    #[serde(rename = "Rabbitmq")]
    rabbitmq: Option<EvolutionChannel>,
    /// Its SQS channel.
    #[serde(rename = "Sqs")]
    sqs: Option<EvolutionChannel>,
    /// Its websocket.
    #[serde(rename = "Websocket")]
    websocket: Option<EvolutionChannel>,
    /// How it is to behave.
    #[serde(rename = "Setting")]
    setting: Value,
    /// What is stored of it: nothing.
    #[serde(rename = "_count")]
    count: Value,
}

/// Lists the instances that the key reaches, or one of them.
#[utoipa::path(get, path = "/instance/fetchInstances", params(Wanted), security(("apikey" = [])),
    responses((status = 200, description = "The instances", body = Vec<EvolutionInstance>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<EvolutionInstance>>, Fault> {
    let instances = find(&api, &caller, &wanted).await?;
    let ids: Vec<i64> = instances.iter().map(|instance| instance.id).collect();
    let endpoints = api.database.evolution_endpoints(&ids).await?;
    let shown = instances.iter().map(|instance| {
        let of_it = endpoints
            .iter()
            .filter(|endpoint| endpoint.instance_id == instance.id);
        view(&api, instance, &of_it.collect::<Vec<_>>())
    });
    Ok(Json(shown.collect()))
}

/// The instances that are wanted. The key of an instance reaches that one, whichever is asked for.
async fn find(api: &Api, caller: &Caller, wanted: &Wanted) -> Result<Vec<Instance>, Fault> {
    let reach = caller.reach();
    let named = wanted
        .instance_name
        .as_ref()
        .or(wanted.instance_id.as_ref());
    if let Some(named) = named.filter(|named| !named.is_empty() && reach.is_account()) {
        let found = api.database.find_instance(reach, named).await?;
        return found.map(|instance| vec![instance]).ok_or_else(|| {
            let message = format!("Instance \"{named}\" not found");
            Fault::new(Kind::NotFound, "instance_not_found", message)
        });
    }
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let page = api.database.instances_within(reach, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        all.extend(page);
    }
    if let Some(number) = wanted.number.as_ref().filter(|number| !number.is_empty()) {
        all.retain(|instance| {
            instance.details.get("number").and_then(Value::as_str) == Some(number)
        });
    }
    Ok(all)
}

/// An instance with its channels.
fn view(api: &Api, instance: &Instance, endpoints: &[&EndpointRecord]) -> EvolutionInstance {
    let channel = |name: &str| {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.channel == name)?;
        Some(Shown::of(api, instance, endpoint).channel())
    };
    let detail = |name: &str| instance.details.get(name).cloned().unwrap_or_default();
    let token = news::token(api, instance);
    EvolutionInstance {
        id: instance.uid.clone(),
        name: instance.name.clone(),
        connection_status: connection(instance).to_owned(),
        owner_jid: instance.sender.clone(),
        profile_name: None,
        profile_pic_url: None,
        integration: detail("integration"),
        number: detail("number"),
        business_id: None,
        token: token.map(|token| token.expose_secret().to_owned()),
        client_name: "postrider",
        created_at: timestamp(instance.created_at),
        updated_at: timestamp(instance.updated_at),
        rabbitmq: channel("rabbitmq"),
        sqs: channel("sqs"),
        websocket: channel("websocket"),
        setting: detail("settings"),
        count: json!({"Message": 0, "Contact": 0, "Chat": 0}),
    }
}
