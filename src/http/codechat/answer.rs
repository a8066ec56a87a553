//! `WebhookResponse`: a webhook as `CodeChat` shows it.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::{Builder, Uuid};

use super::toggles::Shown;
use crate::crypto::Keyring;
use crate::db::administration::{EndpointRecord, Instance};
use crate::dialect::timestamp;

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodechatWebhook {
    /// What its owner calls it.
    name: String,
    /// Where callbacks go; no other webhook of the instance has it.
    url: String,
    /// Whether they do.
    enabled: bool,
    /// Its id.
    webhook_id: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// The instance it belongs to.
    instance_instance_id: String,
    /// What is sent.
    #[serde(rename = "WebhookEvents")]
    webhook_events: CodechatWebhookEvents,
}

/// What is sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CodechatWebhookEvents {
    /// A switch for each event.
    #[serde(flatten)]
    switches: Shown,
    /// Its id.
    webhook_events_id: String,
    /// When the webhook was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the webhook last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// What a webhook has that other endpoints have not; rests in `endpoints.settings`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    /// What its owner calls it. Unlike a label it may be any text, and two may have the same.
    pub(super) name: String,
}

impl Settings {
    /// As it is written.
    pub(super) fn written(name: &str) -> SecretString {
        serde_json::json!({ "name": name }).to_string().into()
    }

    /// The name of a webhook; the label, where it was made in another way or the key is lost.
    fn name_of(record: &EndpointRecord, keyring: &Keyring) -> String {
        let opened = record
            .settings
            .as_deref()
            .and_then(|stored| keyring.open(stored).ok());
        let settings =
            opened.and_then(|text| serde_json::from_str::<Self>(text.expose_secret()).ok());
        settings.map_or_else(|| record.label.clone(), |settings| settings.name)
    }
}

impl CodechatWebhook {
    /// An endpoint as a webhook.
    pub(super) fn new(record: &EndpointRecord, instance: &Instance, keyring: &Keyring) -> Self {
        let (created_at, updated_at) = (timestamp(record.created_at), timestamp(record.updated_at));
        Self {
            name: Settings::name_of(record, keyring),
            url: record.url.clone(),
            // One that is paused is so by Postrider, not by its owner.
            enabled: record.state != "disabled",
            webhook_id: record.uid.clone(),
            created_at: created_at.clone(),
            updated_at: updated_at.clone(),
            instance_instance_id: instance.uid.clone(),
            webhook_events: CodechatWebhookEvents {
                switches: Shown(record.events.clone()),
                webhook_events_id: events_id(&record.uid).to_string(),
                created_at,
                updated_at,
            },
        }
    }
}

/// The id that the events of a webhook have: another than its own, and always the same.
fn events_id(webhook: &str) -> Uuid {
    let digest = Sha256::digest(format!("webhook-events:{webhook}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
