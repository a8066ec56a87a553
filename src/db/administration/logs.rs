//! Deliveries as a log of webhooks: those of one dialect's endpoints of one instance, the latest first.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::Instance;
use crate::db::{Database, Error};

/// A delivery, with what its last attempt said.
#[derive(Debug, Clone, FromRow)]
pub struct DeliveryLog {
    /// The delivery.
    pub id: i64,
    /// The event; none for a row without one.
    pub event_id: Option<String>,
    /// As it was emitted.
    pub event_type: String,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// Where it goes.
    pub url: String,
    /// pending, delivered or failed.
    pub status: String,
    /// Attempts made in this cycle.
    pub attempts: i32,
    /// When they reach it, the delivery has failed.
    pub max_attempts: i32,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// The HTTP status of the last attempt, where one arrived.
    pub response_status: Option<i32>,
    /// When it was queued.
    pub created_at: OffsetDateTime,
    /// When its state last changed.
    pub updated_at: OffsetDateTime,
    /// When it is due.
    pub next_retry_at: OffsetDateTime,
    /// The event's JSON body.
    pub payload: Vec<u8>,
}

/// Which part of a log. What is none does not narrow it.
#[derive(Debug, Clone, Default)]
pub struct LogFilter<'a> {
    /// With this status.
    pub status: Option<&'a str>,
    /// Of this event, as the dialect calls it.
    pub event: Option<&'a str>,
    /// Queued since then.
    pub since: Option<OffsetDateTime>,
    /// Queued before.
    pub until: Option<OffsetDateTime>,
}

/// Delivered ones are looked for among so many of the queue's latest rows, whoever's they are, or since the time that is asked
/// for, however long ago: no index finds them, and one would cost every INSERT. Those that failed or are pending are found by an index, however old they are.
const DELIVERED_LOOKED_AT_MAX: i64 = 1_000_000;

/// What a line of the log has, but for the payload.
macro_rules! line {
    () => {
        "delivery.id, case when delivery.event_id is not null then postrider.event_id(delivery.event_id, delivery.event_nonce) end as event_id
              , delivery.event_type, coalesce(delivery.event_at, delivery.created_at) as occurred_at, delivery.url, delivery.status
              , delivery.attempts, delivery.max_attempts, delivery.last_error, delivery.created_at, delivery.updated_at, delivery.next_retry_at
              , (select attempt.status from postrider.attempts attempt where attempt.delivery_id = delivery.id
                 order by attempt.at desc, attempt.attempt desc limit 1) as response_status"
    };
}

impl Database {
    /// A page of the log, the latest first and without payloads, and how many lines there are in all.
    pub async fn delivery_logs(
        &self,
        instance: &Instance,
        dialect: &str,
        filter: &LogFilter<'_>,
        (offset, limit): (i64, i64),
    ) -> Result<(Vec<DeliveryLog>, i64), Error> {
        let (ids, total): (Vec<i64>, i64) = sqlx::query_as(
            "-- logs.search: deliveries of one instance's endpoints of a dialect, each status by the index that has it
            with mine as materialized (
              select id, lane from postrider.endpoints where instance_id = $1 and dialect = $2 and channel = 'webhook'
            ), wanted(types) as materialized (
              select postrider.wanted_types($2, array[$4])
            ), logged as materialized (
              select id, event_type, created_at from postrider.webhook_queue
              where status = 'failed' and coalesce($3, 'failed') = 'failed' and endpoint_id = any (array(select id from mine))
              union all
              select id, event_type, created_at from postrider.webhook_queue
              where status = 'pending' and coalesce($3, 'pending') = 'pending' and lane = any (array(select lane from mine))
                and endpoint_id = any (array(select id from mine))
              union all
              select id, event_type, created_at from postrider.webhook_queue
              where id >= (case when $5::timestamptz is null then (select max(id) from postrider.webhook_queue) - $9 else postrider.queued_since($5) end)
                and status = 'delivered' and coalesce($3, 'delivered') = 'delivered'
                and endpoint_id = any (array(select id from mine))
            ), narrowed as materialized (
              select id from logged
              where ($4::text is null or event_type = any ((select types from wanted)::text[]))
                and ($5::timestamptz is null or created_at >= $5) and ($6::timestamptz is null or created_at < $6)
            )
            select array(select id from narrowed order by id desc offset $7 limit $8), (select count(*) from narrowed)",
        )
        .bind(instance.id)
        .bind(dialect)
        .bind(filter.status)
        .bind(filter.event)
        .bind(filter.since)
        .bind(filter.until)
        .bind(offset)
        .bind(limit)
        .bind(DELIVERED_LOOKED_AT_MAX)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("search deliveries"))?;
        let lines = sqlx::query_as(concat!(
            "-- logs.lines: deliveries that a search found
            select ",
            line!(),
            ", ''::bytea as payload from postrider.webhook_queue delivery where delivery.id = any ($1) order by delivery.id desc"
        ))
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("search deliveries"))?;
        Ok((lines, total))
    }

    /// One line of the log, with the payload.
    pub async fn delivery_log(
        &self,
        instance: &Instance,
        dialect: &str,
        id: i64,
    ) -> Result<Option<DeliveryLog>, Error> {
        sqlx::query_as(concat!(
            "-- logs.get: a delivery of one instance's endpoints of a dialect
            select ",
            line!(),
            ", delivery.payload from postrider.webhook_queue delivery
            join postrider.endpoints endpoint on endpoint.id = delivery.endpoint_id
            where delivery.id = $3 and endpoint.instance_id = $1 and endpoint.dialect = $2 and endpoint.channel = 'webhook'"
        ))
        .bind(instance.id)
        .bind(dialect)
        .bind(id)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("read a delivery"))
    }

    /// Sends a delivery of the log once more: one that is pending becomes due, any other gets a new cycle. False where there is none.
    pub async fn retry_delivery(
        &self,
        instance: &Instance,
        dialect: &str,
        id: i64,
    ) -> Result<bool, Error> {
        let moved = sqlx::query(
            "-- logs.retry: as an operator would do it
            update postrider.webhook_queue delivery set status = 'pending', next_retry_at = now()
            from postrider.endpoints endpoint
            where delivery.id = $3 and endpoint.id = delivery.endpoint_id
              and endpoint.instance_id = $1 and endpoint.dialect = $2 and endpoint.channel = 'webhook'",
        )
        .bind(instance.id)
        .bind(dialect)
        .bind(id)
        .execute(self.pool())
        .await
        .map_err(Error::refusal_or_doing("retry the delivery"))?;
        Ok(moved.rows_affected() > 0)
    }
}
