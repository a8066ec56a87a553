//! Events from callers of the HTTP APIs.

use crate::db::{Database, Error};
use crate::model::Reach;

/// An event to be emitted.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// Its type.
    pub event_type: &'a str,
    /// JSON, whose bytes are kept as they are.
    pub data: &'a str,
    /// Against duplicates: a second event with the same key is the first one.
    pub idempotency_key: Option<&'a str>,
    /// Told, where envelopes have a sender, in place of the instance's own.
    pub sender: Option<&'a str>,
}

impl Database {
    /// Emits an event and answers with its id; none where no instance of this name is within reach. One round trip.
    pub async fn publish(
        &self,
        reach: Reach,
        instance: &str,
        event: NewEvent<'_>,
    ) -> Result<Option<String>, Error> {
        sqlx::query_scalar(
            "-- events.publish: by the public function, within reach
            select postrider.emit(instance.name, $4, $5::text::json, $6, $7) from postrider.instances instance
            where instance.called = $3 and instance.account_id = $1 and ($2::bigint is null or instance.id = $2)",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(instance)
        .bind(event.event_type)
        .bind(event.data)
        .bind(event.idempotency_key)
        .bind(event.sender)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("publish the event"))
    }

    /// Emits many events of one instance, all or none; answers with their ids in order.
    pub async fn publish_batch(
        &self,
        reach: Reach,
        instance: &str,
        events: &[NewEvent<'_>],
    ) -> Result<Option<Vec<String>>, Error> {
        let column = |of: fn(&NewEvent<'_>) -> String| events.iter().map(of).collect::<Vec<_>>();
        let keys: Vec<Option<&str>> = events.iter().map(|event| event.idempotency_key).collect();
        let senders: Vec<Option<&str>> = events.iter().map(|event| event.sender).collect();
        let senders = senders.iter().any(Option::is_some).then_some(senders);
        sqlx::query_scalar(
            "-- events.publish_batch: by the public function, within reach
            select postrider.emit_rows(array_fill(instance.name, array[cardinality($4::text[])]), $4, $5::text[]::json[], $6, $7)
            from postrider.instances instance
            where instance.called = $3 and instance.account_id = $1 and ($2::bigint is null or instance.id = $2)",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(instance)
        .bind(column(|event| event.event_type.to_owned()))
        .bind(column(|event| event.data.to_owned()))
        .bind(keys)
        .bind(senders)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("publish the events"))
    }
}
