//! Events as the HTTP API shows them, never beyond a caller's reach. Lists walk the primary key, as those of deliveries do.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::deliveries::DeliveryLine;
use super::records::Instance;
use super::walk::{Step, Walk, Walking};
use crate::db::{Database, Error};
use crate::model::Reach;

/// Rows looked at for the types that there are.
const LOOKED_AT_MAX: i64 = 20_000;

/// An event.
#[derive(Debug, Clone, FromRow)]
pub struct EventLine {
    /// Private key: where a list goes on.
    pub key: i64,
    /// Public id.
    pub id: String,
    /// Its instance.
    pub instance: String,
    /// Its type.
    pub event_type: String,
    /// When it happened.
    pub created_at: OffsetDateTime,
    /// JSON, byte for byte as it was given.
    pub data: String,
}

/// Which events of an instance. What is none does not narrow it.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this type.
    pub event_type: Option<String>,
    /// Since then.
    pub since: Option<OffsetDateTime>,
    /// Before then.
    pub until: Option<OffsetDateTime>,
}

impl Database {
    /// Events of an instance before this key, the latest first; the instance was found within the caller's reach before.
    pub async fn events(
        &self,
        instance: &Instance,
        filter: &EventFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Walk<EventLine>, Error> {
        let mut walk = Walking::new(before, limit);
        while let Some(step) = walk.step() {
            let looked_at: (i64, Option<i64>) = sqlx::query_as(
                "-- events.reach: how far a step looks, in the part of the log that is no older than what is asked for
                select count(*), min(id) from (
                  select id, created_at from postrider.events where id < $1 order by id desc limit $2) looked_at
                having $3::timestamptz is null or max(created_at) >= $3::timestamptz - interval '1 hour'",
            )
            .bind(step.before)
            .bind(step.rows)
            .bind(filter.since)
            .fetch_optional(self.pool())
            .await
            .map_err(Error::refusal_or_doing("list events"))?
            .unwrap_or((0, None));
            let found = match looked_at.1 {
                Some(lowest) => self.events_among(instance, filter, step, lowest).await?,
                None => Vec::new(),
            };
            walk.add(found, |event| event.key, looked_at);
        }
        Ok(walk.end())
    }

    /// Those of a step that are asked for.
    async fn events_among(
        &self,
        instance: &Instance,
        filter: &EventFilter,
        step: Step,
        lowest: i64,
    ) -> Result<Vec<EventLine>, Error> {
        sqlx::query_as(
            "-- events.list: of one instance, the latest first
            select event.id as key, postrider.event_id(event.id, event.nonce) as id, $2::text as instance, event.type as event_type
              , event.created_at, event.data::text as data
            from postrider.events event
            where event.instance_id = $1 and event.id < $3 and event.id >= $4 and ($5::text is null or event.type = $5)
              and ($6::timestamptz is null or event.created_at >= $6) and ($7::timestamptz is null or event.created_at < $7)
            order by event.id desc limit $8",
        )
        .bind(instance.id)
        .bind(&instance.name)
        .bind(step.before)
        .bind(lowest)
        .bind(filter.event_type.as_deref())
        .bind(filter.since)
        .bind(filter.until)
        .bind(step.wanted)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list events"))
    }

    /// One event within reach, by its public id.
    pub async fn event(&self, reach: Reach, id: &str) -> Result<Option<EventLine>, Error> {
        let Some(key) = key_of(id) else {
            return Ok(None);
        };
        sqlx::query_as(
            "-- events.get: by public id, within reach
            select event.id as key, $4::text as id, instance.called as instance, event.type as event_type, event.created_at, event.data::text as data
            from postrider.events event join postrider.instances instance on instance.id = event.instance_id
            where event.id = $3 and postrider.event_id(event.id, event.nonce) = $4
              and instance.account_id = $1 and ($2::bigint is null or instance.id = $2)",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(key)
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("read the event"))
    }

    /// The deliveries of an event, replays included.
    pub async fn deliveries_of(
        &self,
        reach: Reach,
        event: &EventLine,
    ) -> Result<Vec<DeliveryLine>, Error> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "-- deliveries.of_event: in the part of the queue that is no older than the event
            select queue.id from postrider.webhook_queue queue
            where queue.id >= postrider.queued_since($2) and queue.event_id = $1",
        )
        .bind(event.key)
        .bind(event.created_at)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("look for the event's deliveries"))?;
        self.delivery_lines(reach, &ids).await
    }

    /// The types of the instance's latest events, with how many there were of each among those looked at.
    pub async fn event_types_of(&self, instance: &Instance) -> Result<Vec<(String, i64)>, Error> {
        sqlx::query_as(
            "-- events.types: among the latest
            select latest.type, count(*) from (
              select event.type, event.instance_id from postrider.events event order by event.id desc limit $2) latest
            where latest.instance_id = $1 group by latest.type order by latest.type",
        )
        .bind(instance.id)
        .bind(LOOKED_AT_MAX)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list event types"))
    }
}

/// The private key in a public id: `evt_17_1a2b3c4d`.
fn key_of(id: &str) -> Option<i64> {
    let (key, nonce) = id.strip_prefix("evt_")?.split_once('_')?;
    let plain = key.bytes().all(|byte| byte.is_ascii_digit()) && !nonce.is_empty();
    plain.then(|| key.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn only_a_public_id_has_a_key() {
        assert_eq!(key_of("evt_17_1a2b"), Some(17));
        for other in [
            "",
            "evt_",
            "evt_17",
            "evt_17_",
            "evt_-1_a",
            "row-17",
            "evt_99999999999999999999_a",
        ] {
            assert_eq!(key_of(other), None, "{other:?}");
        }
    }
}
