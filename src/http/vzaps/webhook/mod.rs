//! The webhook of an instance: the endpoint `default` of this dialect.

pub(super) mod get;
pub(super) mod set;

use super::DIALECT;
use crate::db::administration::{EndpointChanges, EndpointFilter, EndpointRecord, Instance};
use crate::http::api::Api;
use crate::http::fault::Fault;

/// The label of the only one there is.
const LABEL: &str = "default";

/// The webhook as it is; none where it was never set.
pub(super) async fn configured(
    api: &Api,
    instance: &Instance,
) -> Result<Option<EndpointRecord>, Fault> {
    let filter = EndpointFilter {
        dialect: Some(DIALECT),
        channel: Some("webhook"),
        label: Some(LABEL),
        ..EndpointFilter::default()
    };
    let records = api.database.endpoint_records(instance, filter).await?;
    Ok(records.into_iter().next())
}

/// Sets the webhook. Events that are not said stay as they are; a new webhook then has every event.
pub(super) async fn configure(
    api: &Api,
    instance: &Instance,
    url: &str,
    events: Option<Vec<String>>,
) -> Result<(), Fault> {
    let changes = EndpointChanges {
        instance: &instance.sql_name,
        url,
        label: LABEL,
        channel: "webhook",
        dialect: DIALECT,
        state: Some("enabled"),
        events,
        ..EndpointChanges::default()
    };
    api.database.set_endpoint(&changes, &api.keyring).await?;
    Ok(())
}
