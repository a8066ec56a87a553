//! `PUT /instances/create`

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::answer::{VzapsBoth, both};
use super::super::names::{Names, subscription};
use super::super::owner::Owner;
use super::super::webhook::{configure, configured};
use super::VzapsInstance;
use crate::crypto::token::generate;
use crate::db::administration::{EndpointRecord, Instance, NewInstance};
use crate::http::api::Api;
use crate::http::evolution;
use crate::http::extract::Json;
use crate::http::fault::Fault;
use crate::http::target::check_target;

/// Makes an instance.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http::vzaps) struct NewVzapsInstance {
    /// Its name, which no other instance has.
    #[schema(min_length = 3, max_length = 255)]
    name: String,
    /// Where callbacks go.
    #[schema(max_length = 2048, format = "uri")]
    webhook: Option<String>,
    /// The events it wants; all of them where none are said.
    #[serde(alias = "eventsSubscribe")]
    events_subscribe: Option<Names>,
    /// Kept and shown again.
    #[serde(default, alias = "rejectCalls")]
    reject_calls: bool,
    /// Kept and shown again.
    #[serde(default, alias = "autoReadMessages")]
    auto_read_messages: bool,
}

/// The documented length, and what any instance's name must be.
fn check_name(name: &str) -> Result<(), Fault> {
    let problem = if !(3..=255).contains(&name.chars().count()) {
        "name: it has 3 to 255 characters"
    } else if name.chars().any(char::is_control) {
        "name: it has no control characters"
    } else if name.trim() != name {
        "name: it has no spaces at the ends"
    } else {
        return Ok(());
    };
    Err(Fault::invalid("name", problem))
}

/// Make an instance
///
/// Its token is in the answer. A webhook without `events_subscribe` has every event.
#[utoipa::path(
    put,
    path = "/instances/create",
    operation_id = "vzaps_instance_create",
    request_body = NewVzapsInstance,
    responses((status = 201, description = "The instance", body = VzapsBoth<VzapsInstance>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn create(
    State(api): State<Api>,
    owner: Owner,
    Json(new): Json<NewVzapsInstance>,
) -> Result<(StatusCode, Json<VzapsBoth<VzapsInstance>>), Fault> {
    let caller = owner.of_account()?;
    check_name(&new.name)?;
    let webhook = new.webhook.as_deref().filter(|url| !url.is_empty());
    if let Some(url) = webhook {
        check_target(&api, "webhook", url)?;
    }
    let events = new
        .events_subscribe
        .map(|names| subscription("events_subscribe", &names));
    let events = events.transpose()?.unwrap_or_default();
    let token = generate(&mut rand::rng());
    let details = json!({
        "vzaps": { "reject_calls": new.reject_calls, "auto_read_messages": new.auto_read_messages }
    });
    let made = NewInstance {
        name: &new.name,
        token: &token,
        sender: None,
        reach: caller.reach(),
        details: Some(&details),
    };
    api.database.create_instance(&made, &api.keyring).await?;
    let instance = caller.instance(&api, &new.name).await?;
    evolution::born(&api, &instance).await;
    let endpoint = match webhook_of(&api, &instance, webhook, events).await {
        Ok(endpoint) => endpoint,
        Err(fault) => {
            // All of it or nothing: its token would be lost, and its name taken when the client tries again.
            api.database.delete_instance(&instance.sql_name).await?;
            return Err(fault);
        }
    };
    let answer = VzapsInstance::with(&api, &instance, endpoint.as_ref());
    let status = StatusCode::CREATED;
    Ok((status, both(status.as_u16(), answer)))
}

/// Sets the webhook, where one was given; the webhook as it is then.
async fn webhook_of(
    api: &Api,
    instance: &Instance,
    url: Option<&str>,
    events: Vec<String>,
) -> Result<Option<EndpointRecord>, Fault> {
    if let Some(url) = url {
        configure(api, instance, url, Some(events)).await?;
    }
    configured(api, instance).await
}
