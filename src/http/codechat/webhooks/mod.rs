//! The webhook resource: one file a verb.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod find;
pub(super) mod list;
pub(super) mod toggle;
pub(super) mod update;

use super::DIALECT;
use super::answer::CodechatWebhook;
use crate::db::administration::{EndpointFilter, EndpointRecord, Instance};
use crate::http::api::Api;
use crate::http::fault::{Fault, Kind};

/// The webhooks of an instance, or just the one of this id.
async fn records(
    api: &Api,
    instance: &Instance,
    webhook: Option<&str>,
) -> Result<Vec<EndpointRecord>, Fault> {
    let filter = EndpointFilter {
        dialect: Some(DIALECT),
        channel: Some("webhook"),
        uid: webhook,
        ..EndpointFilter::default()
    };
    let mut records = api.database.endpoint_records(instance, filter).await?;
    // Oldest first: their labels say little.
    records.sort_by_key(|record| record.id);
    Ok(records)
}

/// A webhook as it is now, or that there is none.
async fn shown(api: &Api, instance: &Instance, webhook: &str) -> Result<CodechatWebhook, Fault> {
    let found = records(api, instance, Some(webhook)).await?;
    let record = found.first().ok_or_else(|| not_found(webhook))?;
    Ok(CodechatWebhook::new(record, instance, &api.keyring))
}

/// The instance has no webhook of this id.
fn not_found(webhook: &str) -> Fault {
    let message =
        format!("the instance has no webhook {webhook:?}; GET …/webhook lists those it has");
    Fault::new(Kind::NotFound, "webhook_not_found", message)
}

/// Why a name cannot be taken, as a fault.
fn check_name(name: &str) -> Result<(), Fault> {
    match super::body::name_problem(name) {
        Some(problem) => Err(Fault::invalid("name", problem)),
        None => Ok(()),
    }
}
