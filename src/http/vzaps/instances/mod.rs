//! Instances: make, list, get.

pub(super) mod create;
pub(super) mod get;
pub(super) mod list;

use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::names;
use crate::db::administration::{EndpointRecord, Instance};
use crate::dialect::timestamp;
use crate::http::api::Api;

/// An instance as `VZaps` shows it. What only its own platform knows (the connection, the bill) is empty here.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct VzapsInstance {
    /// `VZ` and letters and digits.
    #[schema(example = "VZ9K2M4N8P1Q3R5S7T0WAB")]
    id: String,
    /// Its name.
    name: String,
    /// Its token, for `X-Instance-Token`. The sealed text where the key is lost.
    token: Option<String>,
    /// Where it is found.
    url: String,
    /// Where callbacks go; empty where nowhere.
    webhook: String,
    /// The events it wants, with commas between.
    #[schema(example = "Message,Connected,Disconnected")]
    events_subscribe: String,
    /// As given; Postrider takes no calls.
    reject_calls: bool,
    /// As given; Postrider reads no messages.
    auto_read_messages: bool,
    /// Not known.
    connected: Option<bool>,
    /// Not known.
    connected_at: Option<String>,
    /// Not known.
    whatsapp_push_name: Option<String>,
    /// Who sends for it.
    whatsapp_jid: Option<String>,
    /// Always `ACTIVE`.
    status: &'static str,
    /// Always `ACTIVE`: there is no bill.
    billing_status: &'static str,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Never.
    cancel_at: Option<String>,
    /// Never.
    expired_at: Option<String>,
}

impl VzapsInstance {
    /// An instance and its webhook, as callers see them.
    fn new(api: &Api, instance: &Instance, webhook: Option<(&str, &[String])>) -> Self {
        let (url, events) = webhook.unzip();
        let given = |flag: &str| {
            instance.details["vzaps"][flag]
                .as_bool()
                .unwrap_or_default()
        };
        Self {
            id: instance.vzaps_id.clone(),
            name: instance.name.clone(),
            token: token(api, instance),
            url: format!("{}/instances/{}", api.public_url, instance.vzaps_id),
            webhook: url.unwrap_or_default().to_owned(),
            events_subscribe: events.map(names::shown).unwrap_or_default().join(","),
            reject_calls: given("reject_calls"),
            auto_read_messages: given("auto_read_messages"),
            connected: None,
            connected_at: None,
            whatsapp_push_name: None,
            whatsapp_jid: instance.sender.clone(),
            status: "ACTIVE",
            billing_status: "ACTIVE",
            created_at: timestamp(instance.created_at),
            updated_at: timestamp(instance.updated_at),
            cancel_at: None,
            expired_at: None,
        }
    }

    /// The same with the record of its endpoint.
    fn with(api: &Api, instance: &Instance, endpoint: Option<&EndpointRecord>) -> Self {
        let webhook = endpoint.map(|endpoint| (endpoint.url.as_str(), endpoint.events.as_slice()));
        Self::new(api, instance, webhook)
    }
}

/// An instance's token. One whose key is lost is shown as it rests, so that its owner sees what is wrong.
fn token(api: &Api, instance: &Instance) -> Option<String> {
    let stored = instance.token.as_deref()?;
    match api.keyring.open(stored) {
        Ok(token) => Some(token.expose_secret().to_owned()),
        Err(error) => {
            tracing::warn!(instance.name = instance.name, %error, "an instance's token cannot be opened; it is shown sealed");
            Some(stored.to_owned())
        }
    }
}
