//! Endpoints as Evolution API shows them.

use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::crypto::Keyring;
use crate::db::administration::{EndpointRecord, Instance};
use crate::dialect::evolution::{EVENTS, key};
use crate::dialect::{Dialect, timestamp};
use crate::http::api::Api;

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EvolutionWebhook {
    /// Its id.
    id: String,
    /// Where it goes.
    url: String,
    /// Its own headers.
    headers: Option<Map<String, Value>>,
    /// Whether it is on.
    enabled: bool,
    /// What it gets.
    events: Vec<String>,
    /// Whether the event is appended to the URL.
    webhook_by_events: bool,
    /// Whether media come as base64.
    webhook_base64: bool,
    /// When it was made.
    created_at: String,
    /// When it last changed.
    updated_at: String,
    /// Whose it is.
    instance_id: String,
}

/// A websocket, or where events go at `RabbitMQ` or SQS.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EvolutionChannel {
    /// Its id.
    id: String,
    /// Whether it is on.
    enabled: bool,
    /// What it gets.
    events: Vec<String>,
    /// When it was made.
    created_at: String,
    /// When it last changed.
    updated_at: String,
    /// Whose it is.
    instance_id: String,
}

/// A Pusher application.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EvolutionPusher {
    /// The rest.
    #[serde(flatten)]
    channel: EvolutionChannel,
    /// Its id at Pusher.
    app_id: Value,
    /// Its key.
    key: Value,
    /// Its secret.
    secret: Value,
    /// Where it is.
    cluster: Value,
    /// Whether it is spoken to over TLS.
    #[serde(rename = "useTLS")]
    use_tls: Value,
}

/// What an owner is shown of one endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    instance: &'a Instance,
    endpoint: &'a EndpointRecord,
    keyring: &'a Keyring,
}

impl<'a> Shown<'a> {
    /// An endpoint of an instance.
    pub(super) fn of(api: &'a Api, instance: &'a Instance, endpoint: &'a EndpointRecord) -> Self {
        Self {
            instance,
            endpoint,
            keyring: &api.keyring,
        }
    }

    /// As a webhook.
    pub(super) fn webhook(self) -> EvolutionWebhook {
        let channel = self.channel();
        EvolutionWebhook {
            id: channel.id,
            url: self.endpoint.url.clone(),
            headers: self.headers(),
            enabled: channel.enabled,
            events: channel.events,
            webhook_by_events: self.endpoint.by_events,
            webhook_base64: self.endpoint.media_base64,
            created_at: channel.created_at,
            updated_at: channel.updated_at,
            instance_id: channel.instance_id,
        }
    }

    /// A webhook's own headers.
    pub(super) fn headers(self) -> Option<Map<String, Value>> {
        self.opened("headers", self.own(self.endpoint.headers.as_deref()))
    }

    /// As a channel of which nothing more is to be said.
    pub(super) fn channel(self) -> EvolutionChannel {
        let enabled = self.endpoint.state != "disabled";
        EvolutionChannel {
            id: self.endpoint.uid.clone(),
            enabled,
            events: events(self.endpoint, enabled),
            created_at: timestamp(self.endpoint.created_at),
            updated_at: timestamp(self.endpoint.updated_at),
            instance_id: self.instance.uid.clone(),
        }
    }

    /// As a Pusher application.
    pub(super) fn pusher(self) -> EvolutionPusher {
        let settings = self.own(self.endpoint.settings.as_deref());
        let settings = self.opened("settings", settings).unwrap_or_default();
        let setting = |name: &str| settings.get(name).cloned().unwrap_or_default();
        EvolutionPusher {
            channel: self.channel(),
            app_id: setting("app_id"),
            key: setting("key"),
            secret: setting("secret"),
            cluster: setting("cluster"),
            use_tls: setting("use_tls"),
        }
    }

    /// A secret that this dialect's own routes have set. What others set is not theirs to show.
    fn own(self, stored: Option<&'a str>) -> Option<&'a str> {
        stored.filter(|_| self.endpoint.dialect == Dialect::Evolution.as_str())
    }

    /// A sealed JSON object. One that cannot be opened (a lost key) is not shown, and the log says so.
    fn opened(self, what: &str, stored: Option<&str>) -> Option<Map<String, Value>> {
        match self.keyring.open(stored?) {
            Ok(text) => serde_json::from_str(text.expose_secret()).ok(),
            Err(error) => {
                tracing::warn!(endpoint.id = self.endpoint.id, %error, "the {what} of an endpoint cannot be shown");
                None
            }
        }
    }
}

/// The events as the API names them. One that wants everything shows the full list, one that is off shows what it would get.
fn events(endpoint: &EndpointRecord, enabled: bool) -> Vec<String> {
    if endpoint.events.is_empty() && enabled {
        return EVENTS.iter().map(|(key, _)| (*key).to_owned()).collect();
    }
    let named = |event: &String| {
        let meant = Dialect::Evolution.meant(event);
        let known = EVENTS.iter().find(|(_, name)| *name == meant);
        known.map_or_else(|| key(event), |(key, _)| (*key).to_owned())
    };
    endpoint.events.iter().map(named).collect()
}
