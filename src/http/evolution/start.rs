//! What is done once, when the role api starts: the global webhook becomes what is configured, and `application.startup` is told.

use crate::db::Error;
use crate::http::api::Api;

/// Does it.
pub async fn start(api: &Api) -> Result<(), Error> {
    let webhook = &api.config.evolution.global_webhook;
    let url = webhook.url.as_deref().filter(|_| webhook.enabled);
    let events = webhook.event_names();
    if url.is_some() && events.is_empty() {
        tracing::warn!(
            "the global webhook gets nothing: no event is switched on; set WEBHOOK_EVENTS_MESSAGES_UPSERT=true and its like"
        );
    }
    let changed = api
        .database
        .set_global_webhook(url, &events, webhook.by_events)
        .await?;
    if changed > 0 {
        tracing::info!(
            instances = changed,
            enabled = url.is_some(),
            "the global webhook has changed"
        );
    }
    api.database.announce_startup().await?;
    Ok(())
}
