//! Deliveries as the HTTP API shows and works them, never beyond a caller's reach.
//!
//! The queue has no index for questions like these: every event would pay for it. So a list walks the primary key, looks at so
//! many rows and no more, and says where to go on; a page may be short, or empty, and still not be the last.
//!
//! Rows keep the name of their instance. A name may be used again by somebody else once an instance is deleted, so whatever
//! is older than the instance is not its own.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::db::{Database, Error};
use crate::model::Reach;

/// Rows looked at for one page.
const LOOKED_AT_MAX: i64 = 20_000;

/// A row of the queue.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DeliveryLine {
    /// The delivery.
    pub id: i64,
    /// Its instance.
    pub instance: String,
    /// The endpoint it is for; none for a row inserted directly.
    pub endpoint_id: Option<i64>,
    /// The event; none for a row inserted directly.
    pub event_id: Option<String>,
    /// Event name.
    pub event_type: String,
    /// How it goes out.
    pub channel: String,
    /// Where it goes.
    pub url: String,
    /// pending, delivered or failed.
    pub status: String,
    /// Whether a worker holds it now.
    pub in_flight: bool,
    /// Attempts made in this cycle.
    pub attempts: i32,
    /// How many there may be.
    pub max_attempts: i32,
    /// When it is due.
    pub next_retry_at: OffsetDateTime,
    /// What the last failed attempt said.
    pub last_error: Option<String>,
    /// When it was queued.
    pub created_at: OffsetDateTime,
    /// When its state last changed.
    pub updated_at: OffsetDateTime,
}

/// Which deliveries. What is none does not narrow it.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// pending, delivered or failed.
    pub status: Option<String>,
    /// For an endpoint.
    pub endpoint: Option<i64>,
    /// Of an instance, by its private key.
    pub instance: Option<i64>,
    /// Queued since then.
    pub since: Option<OffsetDateTime>,
    /// Queued before.
    pub until: Option<OffsetDateTime>,
    /// Just these.
    pub ids: Option<Vec<i64>>,
    /// Whose last error is like this (SQL's `like`).
    pub error_like: Option<String>,
}

/// A page, and where the next begins; none where this is the last.
#[derive(Debug, Clone)]
pub struct Walk<T> {
    /// What was found.
    pub found: Vec<T>,
    /// Go on before this id.
    pub next: Option<i64>,
}

impl Database {
    /// Deliveries within reach before this id, the latest first.
    pub async fn deliveries(
        &self,
        reach: Reach,
        filter: &DeliveryFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Walk<DeliveryLine>, Error> {
        let before = before.unwrap_or(i64::MAX);
        let failed = filter.status.as_deref() == Some("failed");
        let looked_at: (i64, Option<i64>) = sqlx::query_as(if failed {
            "-- deliveries.reach_failed: how far a page may look, among the dead letters
            select count(*), min(id) from (select id from postrider.webhook_queue where status = 'failed' and id < $1 order by id desc limit $2) looked_at"
        } else {
            "-- deliveries.reach: how far a page may look
            select count(*), min(id) from (select id from postrider.webhook_queue where id < $1 order by id desc limit $2) looked_at"
        })
        .bind(before)
        .bind(LOOKED_AT_MAX)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list deliveries"))?;
        let (count, Some(lowest)) = looked_at else {
            return Ok(Walk {
                found: Vec::new(),
                next: None,
            });
        };
        let found: Vec<DeliveryLine> = sqlx::query_as(
            "-- deliveries.list: within reach, the latest first
            select queue.id, instance.called as instance, queue.endpoint_id
              , case when queue.event_id is not null then postrider.event_id(queue.event_id, queue.event_nonce) end as event_id
              , queue.event_type, queue.channel::text, queue.url, queue.status::text, queue.lease_token is not null and queue.lease_until > now() as in_flight
              , queue.attempts::integer, queue.max_attempts::integer, queue.next_retry_at::timestamptz, queue.last_error, queue.created_at, queue.updated_at
            from postrider.webhook_queue queue
            join postrider.instances instance on instance.name = queue.instance_name and instance.account_id = $1
              and ($2::bigint is null or instance.id = $2) and queue.created_at >= instance.created_at
            where queue.id < $3 and queue.id >= $4 and ($5::text is null or queue.status = $5) and ($6::bigint is null or queue.endpoint_id = $6)
              and ($7::bigint is null or instance.id = $7) and ($8::timestamptz is null or queue.created_at >= $8)
              and ($9::timestamptz is null or queue.created_at < $9) and ($10::text is null or queue.last_error like $10)
              and ($11::bigint[] is null or queue.id = any ($11))
            order by queue.id desc limit $12",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(before)
        .bind(lowest)
        .bind(filter.status.as_deref())
        .bind(filter.endpoint)
        .bind(filter.instance)
        .bind(filter.since)
        .bind(filter.until)
        .bind(filter.error_like.as_deref())
        .bind(filter.ids.as_deref())
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list deliveries"))?;
        let full = i64::try_from(found.len()).is_ok_and(|found| found >= limit);
        let next = match found.last() {
            Some(last) if full => Some(last.id),
            _ => (count >= LOOKED_AT_MAX).then_some(lowest),
        };
        Ok(Walk { found, next })
    }

    /// One delivery within reach, with the payload it carries.
    pub async fn delivery(
        &self,
        reach: Reach,
        id: i64,
    ) -> Result<Option<(DeliveryLine, Vec<u8>)>, Error> {
        let Some(line) = self.delivery_lines(reach, &[id]).await?.pop() else {
            return Ok(None);
        };
        let payload: Option<Vec<u8>> =
            sqlx::query_scalar("select payload from postrider.webhook_queue where id = $1")
                .bind(id)
                .fetch_optional(self.pool())
                .await
                .map_err(Error::refusal_or_doing("read the delivery"))?;
        Ok(payload.map(|payload| (line, payload)))
    }

    /// Of these deliveries those within reach, the earliest first.
    pub async fn delivery_lines(
        &self,
        reach: Reach,
        ids: &[i64],
    ) -> Result<Vec<DeliveryLine>, Error> {
        sqlx::query_as(
            "-- deliveries.get: by id, within reach
            select queue.id, instance.called as instance, queue.endpoint_id
              , case when queue.event_id is not null then postrider.event_id(queue.event_id, queue.event_nonce) end as event_id
              , queue.event_type, queue.channel::text, queue.url, queue.status::text, queue.lease_token is not null and queue.lease_until > now() as in_flight
              , queue.attempts::integer, queue.max_attempts::integer, queue.next_retry_at::timestamptz, queue.last_error, queue.created_at, queue.updated_at
            from postrider.webhook_queue queue
            join postrider.instances instance on instance.name = queue.instance_name and instance.account_id = $1
              and ($2::bigint is null or instance.id = $2) and queue.created_at >= instance.created_at
            where queue.id = any ($3) order by queue.id",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("read deliveries"))
    }

    /// Sends finished deliveries within reach again, by the filter; they begin a new cycle. Answers with how many. One statement,
    /// however many there are, and without the time limit that other statements have.
    pub async fn requeue_within(
        &self,
        reach: Reach,
        filter: &DeliveryFilter,
    ) -> Result<u64, Error> {
        self.change_deliveries(
            "-- deliveries.requeue: finished ones within reach, set-wise
            update postrider.webhook_queue queue set status = 'pending', next_retry_at = now()
            from postrider.instances instance
            where instance.name = queue.instance_name and instance.account_id = $1 and ($2::bigint is null or instance.id = $2)
              and queue.created_at >= instance.created_at and queue.status <> 'pending'
              and (queue.status = 'failed' or $6::bigint[] is not null) and ($3::bigint is null or queue.endpoint_id = $3)
              and ($4::timestamptz is null or queue.updated_at >= $4) and ($5::timestamptz is null or queue.updated_at < $5)
              and ($6::bigint[] is null or queue.id = any ($6)) and ($7::text is null or queue.last_error like $7)
              and ($8::bigint is null or instance.id = $8)",
            reach,
            filter,
        )
        .await
    }

    /// Removes dead letters within reach, by the filter. Answers with how many.
    pub async fn purge_dead_letters(
        &self,
        reach: Reach,
        filter: &DeliveryFilter,
    ) -> Result<u64, Error> {
        self.change_deliveries(
            "-- deliveries.purge: dead letters within reach, set-wise
            delete from postrider.webhook_queue queue using postrider.instances instance
            where instance.name = queue.instance_name and instance.account_id = $1 and ($2::bigint is null or instance.id = $2)
              and queue.created_at >= instance.created_at and queue.status = 'failed' and ($3::bigint is null or queue.endpoint_id = $3)
              and ($4::timestamptz is null or queue.updated_at >= $4) and ($5::timestamptz is null or queue.updated_at < $5)
              and ($6::bigint[] is null or queue.id = any ($6)) and ($7::text is null or queue.last_error like $7)
              and ($8::bigint is null or instance.id = $8)",
            reach,
            filter,
        )
        .await
    }

    /// Gives up deliveries that are pending: they become dead letters, and what is under way for them counts no more.
    pub async fn cancel_delivery(&self, reach: Reach, id: i64) -> Result<bool, Error> {
        let filter = DeliveryFilter {
            ids: Some(vec![id]),
            ..DeliveryFilter::default()
        };
        let cancelled = self
            .change_deliveries(
                "-- deliveries.cancel: pending ones within reach
                update postrider.webhook_queue queue set status = 'failed', last_error = 'cancelled by its owner'
                from postrider.instances instance
                where instance.name = queue.instance_name and instance.account_id = $1 and ($2::bigint is null or instance.id = $2)
                  and queue.created_at >= instance.created_at and queue.status = 'pending' and ($3::bigint is null or queue.endpoint_id = $3)
                  and ($4::timestamptz is null or queue.updated_at >= $4) and ($5::timestamptz is null or queue.updated_at < $5)
                  and queue.id = any ($6) and ($7::text is null or queue.last_error like $7) and ($8::bigint is null or instance.id = $8)",
                reach,
                &filter,
            )
            .await?;
        Ok(cancelled > 0)
    }

    /// One set-wise change, however long it takes.
    async fn change_deliveries(
        &self,
        statement: &'static str,
        reach: Reach,
        filter: &DeliveryFilter,
    ) -> Result<u64, Error> {
        let doing = "change deliveries";
        let mut transaction = self.unhurried().await?;
        let done = sqlx::query(statement)
            .persistent(false)
            .bind(reach.account)
            .bind(reach.instance)
            .bind(filter.endpoint)
            .bind(filter.since)
            .bind(filter.until)
            .bind(filter.ids.as_deref())
            .bind(filter.error_like.as_deref())
            .bind(filter.instance)
            .execute(&mut *transaction)
            .await
            .map_err(Error::refusal_or_doing(doing))?;
        transaction.commit().await.map_err(Error::doing(doing))?;
        Ok(done.rows_affected())
    }
}
