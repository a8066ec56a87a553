//! `set` and `find`: one endpoint of this dialect for each channel of an instance, labelled `default`.

use secrecy::SecretString;
use serde_json::Value;

use super::body::{Block, Channel, read};
use super::fault::{invalid, refused};
use super::tenant::Tenant;
use crate::config::EvolutionCompat;
use crate::db::administration::{
    Change, EndpointChanges, EndpointFilter, EndpointRecord, Instance,
};
use crate::dialect::Dialect;
use crate::dialect::evolution::EVENTS;
use crate::http::api::Api;
use crate::http::fault::Fault;
use crate::http::target::check_target;

/// The label of the endpoint that these routes make.
const LABEL: &str = "default";

/// Makes or changes the instance's endpoint of a channel, and answers with it.
pub(super) async fn set(
    api: &Api,
    tenant: &Tenant,
    channel: Channel,
    body: &Value,
) -> Result<EndpointRecord, Fault> {
    let block = read(channel, body).map_err(|problems| invalid(&problems))?;
    check_url(api, channel, &block)?;
    write(api, &tenant.instance, channel, block).await
}

/// The instance's endpoint of a channel.
///
/// Its own; otherwise another of this dialect; otherwise the one that another API made and called `default`.
pub(super) async fn find(
    api: &Api,
    instance: &Instance,
    channel: Channel,
) -> Result<Option<EndpointRecord>, Fault> {
    let filter = EndpointFilter {
        channel: Some(channel.name()),
        ..EndpointFilter::default()
    };
    let records = api.database.endpoint_records(instance, filter).await?;
    let rank = |record: &EndpointRecord| {
        let is_own = record.dialect == Dialect::Evolution.as_str();
        match (is_own, record.label == LABEL) {
            (true, true) => Some(0),
            (true, false) => Some(1),
            (false, true) => Some(2),
            (false, false) => None,
        }
    };
    let ranked = records.into_iter().filter(|record| rank(record).is_some());
    Ok(ranked.min_by_key(rank))
}

/// Whether deliveries could go there.
pub(super) fn check_url(api: &Api, channel: Channel, block: &Block) -> Result<(), Fault> {
    if channel != Channel::Webhook {
        return Ok(());
    }
    check_target(api, "Invalid \"url\" property", &block.url)
        .map_err(|fault| refused(fault.message))
}

/// Writes a block that was checked.
pub(super) async fn write(
    api: &Api,
    instance: &Instance,
    channel: Channel,
    block: Block,
) -> Result<EndpointRecord, Fault> {
    let changes = EndpointChanges {
        instance: &instance.sql_name,
        url: &block.url,
        label: LABEL,
        channel: channel.name(),
        dialect: Dialect::Evolution.as_str(),
        state: Some(if block.enabled { "enabled" } else { "disabled" }),
        events: Some(stored_events(api, &block)),
        by_events: block.by_events,
        media_base64: block.base64,
        headers: block.headers,
        settings: match block.pusher {
            None => Change::Keep,
            Some(settings) => Change::To(SecretString::from(Value::Object(settings).to_string())),
        },
        ..EndpointChanges::default()
    };
    let id = api.database.set_endpoint(&changes, &api.keyring).await?;
    let filter = EndpointFilter {
        id: Some(id),
        ..EndpointFilter::default()
    };
    let mut records = api.database.endpoint_records(instance, filter).await?;
    // Deleted in the same moment, with its instance.
    records
        .pop()
        .ok_or_else(|| super::fault::no_instance(&instance.name))
}

/// No events mean all, and all that are to come; the system itself writes down those it knows. One that is off keeps none.
fn stored_events(api: &Api, block: &Block) -> Vec<String> {
    if !block.enabled {
        return Vec::new();
    }
    if block.events.is_empty() && api.config.evolution.compat == EvolutionCompat::Version23 {
        return EVENTS.iter().map(|(_, name)| (*name).to_owned()).collect();
    }
    block.events.clone()
}
