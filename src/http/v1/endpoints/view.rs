//! An endpoint as it is shown: everything but its secrets.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::settings;
use crate::crypto::Keyring;
use crate::db::administration::EndpointShown;

/// How deliveries go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChannelName {
    /// An HTTP POST.
    #[default]
    Webhook,
    /// A frame to whoever is connected.
    Websocket,
    /// A message to an exchange.
    Rabbitmq,
    /// A message to a queue.
    Sqs,
    /// A trigger on a room.
    Pusher,
}

/// Whose envelope deliveries wear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DialectName {
    /// Our own.
    #[default]
    Postrider,
    /// `RyzeAPI`.
    Ryze,
    /// Evolution API.
    Evolution,
    /// `CodeChat` v2.
    Codechat,
    /// `VZaps`.
    Vzaps,
}

impl ChannelName {
    /// As tables have it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Websocket => "websocket",
            Self::Rabbitmq => "rabbitmq",
            Self::Sqs => "sqs",
            Self::Pusher => "pusher",
        }
    }
}

impl DialectName {
    /// As tables have it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Postrider => "postrider",
            Self::Ryze => "ryze",
            Self::Evolution => "evolution",
            Self::Codechat => "codechat",
            Self::Vzaps => "vzaps",
        }
    }
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointView {
    /// Its id.
    id: i64,
    /// The name of its instance.
    instance: String,
    /// Its owner's name for it.
    label: String,
    /// How deliveries go out: webhook, websocket, rabbitmq, sqs or pusher.
    channel: String,
    /// Whose envelope they wear: postrider, ryze, evolution, codechat or vzaps.
    dialect: String,
    /// Where they go; empty for channels that have no URL.
    url: String,
    /// Event types it wants; empty: all but those that begin with `postrider.`.
    events: Vec<String>,
    /// Whether the event type is appended to the URL.
    by_events: bool,
    /// Whether it wants base64 media inside the event.
    media_base64: bool,
    /// Whether there is an `Authorization` header. It is not shown.
    has_authorization: bool,
    /// The names of its custom headers.
    headers: Vec<String>,
    /// Signing secrets that are good now; several during a rotation.
    signing_secrets: i64,
    /// What its channel and its dialect need beside the rest; credentials are masked.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    /// Its row of the backoff table.
    schedule: String,
    /// Attempts before a delivery is dead.
    max_attempts: i32,
    /// The whole attempt, in milliseconds.
    timeout_ms: i32,
    /// Attempts in flight in one worker; null: as configured.
    max_in_flight: Option<i32>,
    /// enabled; paused: rows are queued and held; disabled: no new rows.
    state: String,
    /// Why it is not enabled.
    state_reason: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    state_changed_at: OffsetDateTime,
    /// The first failure since its last success.
    #[serde(with = "time::serde::rfc3339::option")]
    failing_since: Option<OffsetDateTime>,
    /// What the last failure said.
    last_error: Option<String>,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl EndpointView {
    /// As it may be shown.
    pub(super) fn new(endpoint: EndpointShown, keyring: &Keyring) -> Self {
        let settings = open(keyring, endpoint.sealed_settings.as_deref());
        let headers = open(keyring, endpoint.sealed_headers.as_deref());
        let names: BTreeMap<String, Value> = headers
            .and_then(|text| serde_json::from_str(text.expose_secret()).ok())
            .unwrap_or_default();
        let line = endpoint.line;
        Self {
            id: line.id,
            instance: line.instance,
            label: line.label,
            channel: line.channel,
            dialect: line.dialect,
            url: line.url,
            events: line.events,
            by_events: line.by_events,
            media_base64: line.media_base64,
            has_authorization: line.has_authorization,
            headers: names.into_keys().collect(),
            signing_secrets: line.signing_secrets,
            settings: settings.and_then(|text| settings::masked(text.expose_secret())),
            schedule: line.schedule,
            max_attempts: line.max_attempts,
            timeout_ms: line.timeout_ms,
            max_in_flight: line.max_in_flight,
            state: line.state,
            state_reason: line.state_reason,
            state_changed_at: line.state_changed_at,
            failing_since: line.failing_since,
            last_error: line.last_error,
            created_at: line.created_at,
            updated_at: line.updated_at,
        }
    }
}

/// What rests sealed, opened; what cannot be opened is not shown, and the log says so.
fn open(keyring: &Keyring, stored: Option<&str>) -> Option<SecretString> {
    let opened = keyring.open(stored?);
    opened
        .inspect_err(|error| tracing::warn!(%error, "an endpoint's secret cannot be shown"))
        .ok()
}
