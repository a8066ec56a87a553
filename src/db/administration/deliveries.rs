//! Deliveries as the HTTP API shows and works them, never beyond a caller's reach.
//!
//! The queue has no index for questions like these: every event would pay for it. So a list walks the primary key, as
//! [`super::walk`] does.
//!
//! Rows keep the name of their instance. A name may be used again by somebody else once an instance is deleted, so whatever
//! is older than the instance is not its own.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::walk::{Step, Walk, Walking};
use crate::db::{Database, Error};
use crate::model::Reach;

/// So long after a moment begins what need not be looked at for rows from before it: `queued_since` leaves an hour for rows whose
/// transactions were open that long, and another one is left for them here.
const AFTER: time::Duration = time::Duration::hours(2);

/// What is for the global webhook is the operators' to see and to change, whoever's the instance: its URL is theirs.
macro_rules! shown {
    ($operator:literal) => {
        concat!(
            "($", $operator, " or not exists (
                select from postrider.endpoints endpoint where endpoint.id = queue.endpoint_id and endpoint.is_global))"
        )
    };
}

/// The lines of deliveries within reach.
macro_rules! lines {
    () => {
        "
            select queue.id, instance.called as instance, queue.endpoint_id
              , case when queue.event_id is not null then postrider.event_id(queue.event_id, queue.event_nonce) end as event_id
              , queue.event_type, queue.channel::text, queue.url, queue.status::text, queue.lease_token is not null and queue.lease_until > now() as in_flight
              , queue.attempts::integer, queue.max_attempts::integer, queue.next_retry_at::timestamptz, queue.last_error, queue.created_at, queue.updated_at
            from postrider.webhook_queue queue
            join postrider.instances instance on instance.name = queue.instance_name and instance.account_id = $1
              and ($2::bigint is null or instance.id = $2) and queue.created_at >= instance.created_at "
    };
}

/// What is listed of the deliveries of a step, and what narrows it further.
macro_rules! listing {
    ($narrowed:literal) => {
        concat!(
            "-- deliveries.list: within reach, the latest first", lines!(), "
            where queue.id < $3 and queue.id >= $4 and ($5::text is null or queue.status = $5) and ($6::bigint is null or queue.endpoint_id = $6)
              and ($7::bigint is null or instance.id = $7) and ($8::timestamptz is null or queue.created_at >= $8)
              and ($9::timestamptz is null or queue.created_at < $9) and ", shown!(11), " ", $narrowed, "
            order by queue.id desc limit $10"
        )
    };
}

/// A change of deliveries within reach: what is done, and to which. Ids stand in the second where there are any, so that they
/// are found by the primary key.
macro_rules! changing {
    ($done:literal, $which:literal) => {
        concat!(
            $done, "
            where instance.name = queue.instance_name and instance.account_id = $1 and ($2::bigint is null or instance.id = $2)
              and queue.created_at >= instance.created_at and ", $which, " and ($3::bigint is null or queue.endpoint_id = $3)
              and ($4::timestamptz is null or queue.updated_at >= $4) and ($5::timestamptz is null or queue.updated_at < $5)
              and ($7::text is null or queue.last_error like $7) and ($8::bigint is null or instance.id = $8)
              and ", shown!(9)
        )
    };
}

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

impl Database {
    /// Deliveries within reach before this id, the latest first.
    pub async fn deliveries(
        &self,
        reach: Reach,
        filter: &DeliveryFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Walk<DeliveryLine>, Error> {
        let floor = match filter.since {
            Some(since) => self.queued_since(since).await?,
            None => 0,
        };
        // With ten million rows queued later, hundreds of pages were empty before the first that was asked for. Rows written by
        // hand with a time long past stand where their ids are, and are not found so.
        let before = match filter.until {
            Some(until) => {
                let ceiling = self.queued_since(until.saturating_add(AFTER)).await?;
                Some(before.map_or(ceiling, |before| before.min(ceiling)))
            }
            None => before,
        };
        let mut walk = Walking::new(before, limit);
        while let Some(step) = walk.step() {
            let looked_at = self.look_at_deliveries(filter, floor, step).await?;
            let found = match looked_at.1 {
                Some(lowest) => self.deliveries_among(reach, filter, step, lowest).await?,
                None => Vec::new(),
            };
            walk.add(found, |line| line.id, looked_at);
        }
        Ok(walk.end())
    }

    /// How many rows there are for a step, and the lowest id among them.
    async fn look_at_deliveries(
        &self,
        filter: &DeliveryFilter,
        floor: i64,
        step: Step,
    ) -> Result<(i64, Option<i64>), Error> {
        let failed = filter.status.as_deref() == Some("failed");
        sqlx::query_as(if failed {
            "-- deliveries.reach_failed: how far a step looks, among the dead letters
            select count(*), min(id) from (
              select id from postrider.webhook_queue where status = 'failed' and id < $1 and id >= $2 order by id desc limit $3) looked_at"
        } else {
            "-- deliveries.reach: how far a step looks
            select count(*), min(id) from (
              select id from postrider.webhook_queue where id < $1 and id >= $2 order by id desc limit $3) looked_at"
        })
        .bind(step.before)
        .bind(floor)
        .bind(step.rows)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list deliveries"))
    }

    /// Those of a step that are asked for.
    async fn deliveries_among(
        &self,
        reach: Reach,
        filter: &DeliveryFilter,
        step: Step,
        lowest: i64,
    ) -> Result<Vec<DeliveryLine>, Error> {
        let failed = filter.status.as_deref() == Some("failed");
        // By the index of the dead letters, where only they are asked for.
        sqlx::query_as(if failed {
            listing!("and queue.status = 'failed'")
        } else {
            listing!("")
        })
        .bind(reach.account)
        .bind(reach.instance)
        .bind(step.before)
        .bind(lowest)
        .bind(filter.status.as_deref())
        .bind(filter.endpoint)
        .bind(filter.instance)
        .bind(filter.since)
        .bind(filter.until)
        .bind(step.wanted)
        .bind(reach.operator)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list deliveries"))
    }

    /// An id before which nothing was queued since then.
    async fn queued_since(&self, moment: OffsetDateTime) -> Result<i64, Error> {
        sqlx::query_scalar("select postrider.queued_since($1)")
            .bind(moment)
            .fetch_one(self.pool())
            .await
            .map_err(Error::refusal_or_doing("look for where a time begins"))
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
        sqlx::query_as(concat!(
            "-- deliveries.get: by id, within reach",
            lines!(),
            "where queue.id = any ($3) and ",
            shown!(4),
            " order by queue.id"
        ))
        .bind(reach.account)
        .bind(reach.instance)
        .bind(ids)
        .bind(reach.operator)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("read deliveries"))
    }

    /// Sends finished deliveries within reach again, by the filter; they begin a new cycle. Answers with how many. One statement,
    /// however many there are, and without the time limit that other statements have: dead letters are nobody else's business
    /// until it commits, so no worker waits for it, and it is done wholly or not at all.
    pub async fn requeue_within(
        &self,
        reach: Reach,
        filter: &DeliveryFilter,
    ) -> Result<u64, Error> {
        let statement = if filter.ids.is_some() {
            changing!(
                "-- deliveries.requeue_ids: finished ones within reach, by id
                update postrider.webhook_queue queue set status = 'pending', next_retry_at = now() from postrider.instances instance",
                "queue.status <> 'pending' and queue.id = any ($6)"
            )
        } else {
            changing!(
                "-- deliveries.requeue: dead letters within reach, set-wise
                update postrider.webhook_queue queue set status = 'pending', next_retry_at = now() from postrider.instances instance",
                "queue.status = 'failed' and $6::bigint[] is null"
            )
        };
        self.change_deliveries(statement, reach, filter).await
    }

    /// Removes dead letters within reach, by the filter. Answers with how many.
    pub async fn purge_dead_letters(
        &self,
        reach: Reach,
        filter: &DeliveryFilter,
    ) -> Result<u64, Error> {
        let statement = if filter.ids.is_some() {
            changing!(
                "-- deliveries.purge_ids: dead letters within reach, by id
                delete from postrider.webhook_queue queue using postrider.instances instance",
                "queue.status = 'failed' and queue.id = any ($6)"
            )
        } else {
            changing!(
                "-- deliveries.purge: dead letters within reach, set-wise
                delete from postrider.webhook_queue queue using postrider.instances instance",
                "queue.status = 'failed' and $6::bigint[] is null"
            )
        };
        self.change_deliveries(statement, reach, filter).await
    }

    /// Gives up deliveries that are pending: they become dead letters, and what is under way for them counts no more.
    pub async fn cancel_delivery(&self, reach: Reach, id: i64) -> Result<bool, Error> {
        let filter = DeliveryFilter {
            ids: Some(vec![id]),
            ..DeliveryFilter::default()
        };
        let statement = changing!(
            "-- deliveries.cancel: pending ones within reach
            update postrider.webhook_queue queue set status = 'failed', last_error = 'cancelled by its owner' from postrider.instances instance",
            "queue.status = 'pending' and queue.id = any ($6)"
        );
        let cancelled = self.change_deliveries(statement, reach, &filter).await?;
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
            .bind(reach.operator)
            .execute(&mut *transaction)
            .await
            .map_err(Error::refusal_or_doing(doing))?;
        transaction.commit().await.map_err(Error::doing(doing))?;
        Ok(done.rows_affected())
    }
}
