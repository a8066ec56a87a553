//! The events about an instance that Postrider itself emits: `instance.create`, `logout.instance`, and the last two,
//! `instance.delete` and `remove.instance`, of which a deleted instance's webhooks still hear.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;
use url::Url;

use crate::db::administration::{EndpointRecord, Farewell, Instance, NewEvent};
use crate::dialect::evolution::{JWT_KEY, bearer};
use crate::dialect::{Dialect, Identity, Parts, envelope};
use crate::http::api::Api;
use crate::http::fault::Fault;
use crate::model::Reach;

/// Emits an event of the instance like any other.
pub(super) async fn tell(
    api: &Api,
    instance: &Instance,
    event_type: &str,
    data: &str,
) -> Result<(), Fault> {
    let reach = Reach {
        account: instance.account_id,
        instance: Some(instance.id),
        operator: false,
    };
    let event = NewEvent {
        event_type,
        data,
        idempotency_key: None,
        sender: None,
    };
    api.database.publish(reach, &instance.name, event).await?;
    Ok(())
}

/// An instance was made by a route of another dialect: `instance.create` is told to whoever wants it there, which is the global
/// webhook. Endpoints of dialects that have no such event are not made yet.
///
/// That it cannot be told is logged and no more: the instance is there, and only this answer has its token.
pub(in crate::http) async fn born(api: &Api, instance: &Instance) {
    if let Err(fault) = announce(api, instance).await {
        untold(instance, &fault);
    }
}

/// An instance was made by a route of this dialect. Not to be able to tell is logged and no more, as in [`born`].
pub(super) async fn created(api: &Api, instance: &Instance) {
    if let Err(fault) = tell(api, instance, "instance.create", &about(instance)).await {
        untold(instance, &fault);
    }
}

/// Logs that nobody hears of a new instance.
fn untold(instance: &Instance, fault: &Fault) {
    tracing::warn!(
        instance.name,
        problem = fault.message,
        "an instance was made, and its instance.create could not be emitted"
    );
}

/// Tells those who want to know, where there are any.
async fn announce(api: &Api, instance: &Instance) -> Result<(), Fault> {
    let endpoints = api.database.evolution_endpoints(&[instance.id]).await?;
    let wants = |endpoint: &EndpointRecord| {
        endpoint.state != "disabled"
            && Dialect::Evolution.wants(&endpoint.events, "instance.create")
    };
    if endpoints.iter().any(wants) {
        tell(api, instance, "instance.create", &about(instance)).await?;
    }
    Ok(())
}

/// Deletes an instance; its webhooks of Evolution API, the global one too, are told. False where it is gone already.
pub(in crate::http) async fn bury(api: &Api, instance: &Instance) -> Result<bool, Fault> {
    let farewells = farewells(api, instance).await?;
    let deleted = api
        .database
        .delete_instance_with(instance, &farewells, &api.keyring)
        .await?;
    api.tokens.forget();
    Ok(deleted)
}

/// What events tell of an instance.
pub(super) fn about(instance: &Instance) -> String {
    json!({"instanceName": instance.name, "instanceId": instance.uid}).to_string()
}

/// What the webhooks of an instance are sent once it is gone. They are rows without an endpoint, and so they carry the
/// envelope already and no headers of their own but `Authorization`.
async fn farewells(api: &Api, instance: &Instance) -> Result<Vec<Farewell>, Fault> {
    let endpoints = api.database.evolution_endpoints(&[instance.id]).await?;
    let now = api.database.now().await?;
    let token = token(api, instance);
    let about = about(instance);
    let news = [
        ("instance.delete", about.as_str()),
        ("remove.instance", "null"),
    ];
    let webhooks = endpoints
        .iter()
        .filter(|endpoint| endpoint.channel == "webhook" && endpoint.state == "enabled");
    let wanted = webhooks.flat_map(|endpoint| {
        let wants = |event: &str| Dialect::Evolution.wants(&endpoint.events, event);
        let news = news.iter().filter(move |(event, _)| wants(event));
        news.map(move |(event, data)| (endpoint, *event, *data))
    });
    let farewells = wanted.filter_map(|(endpoint, event, data)| {
        // As workers name it: whoever hears of all instances cannot tell by what their accounts call them.
        let name = if endpoint.is_global {
            &instance.sql_name
        } else {
            &instance.name
        };
        let parts = Parts {
            event_id: "",
            event_type: event,
            instance: name,
            identity: &identity(instance),
            sender: None,
            instance_token: token.as_ref().map(ExposeSecret::expose_secret),
            base_url: &api.public_url,
            destination: &endpoint.url,
            occurred_at: now,
            data: data.as_bytes(),
        };
        let url = endpoint.url.parse::<Url>().ok()?;
        let url = if endpoint.by_events {
            Dialect::Evolution.url_by_event(&url, event)
        } else {
            url
        };
        Some(Farewell {
            url: url.into(),
            body: envelope(Dialect::Evolution, &parts).to_vec(),
            authorization: authorization(api, endpoint, now),
            event_type: event,
        })
    });
    Ok(farewells.collect())
}

/// What envelopes tell of it.
fn identity(instance: &Instance) -> Identity {
    Identity {
        uid: instance.uid.clone(),
        vzaps_id: instance.vzaps_id.clone(),
        sender: instance.sender.clone(),
        created_at: instance.created_at,
    }
}

/// Its token, where that may be shown and can be opened.
pub(super) fn token(api: &Api, instance: &Instance) -> Option<SecretString> {
    let stored = instance.token.as_deref()?;
    let shown = api.config.evolution.expose_token;
    shown.then(|| api.keyring.open(stored).ok()).flatten()
}

/// The `Authorization` that the endpoint's deliveries carry.
fn authorization(
    api: &Api,
    endpoint: &EndpointRecord,
    now: OffsetDateTime,
) -> Option<SecretString> {
    if let Some(stored) = &endpoint.authorization_header {
        return api.keyring.open(stored).ok();
    }
    let stored = endpoint.headers.as_deref()?;
    let text = api.keyring.open(stored).ok()?;
    let headers: BTreeMap<String, SecretString> =
        serde_json::from_str(text.expose_secret()).ok()?;
    let named = |wanted: &str| {
        let mut headers = headers.iter();
        headers.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
    };
    match named(JWT_KEY) {
        Some(key) => Some(bearer(key.expose_secret().as_bytes(), now).into()),
        None => named("authorization").cloned(),
    }
}
