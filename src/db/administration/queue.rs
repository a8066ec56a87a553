//! The queue as operators work it: how much, what died, once more.

use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::db::{Database, Error};
use crate::model::Reach;

/// A line of `postrider.queue_stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct QueueLine {
    /// Which channel.
    pub channel: String,
    /// Which status.
    pub status: String,
    /// How many rows.
    pub rows: i64,
    /// When that was so.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
    /// The oldest due delivery that nobody held.
    #[serde(with = "time::serde::rfc3339::option")]
    pub oldest_due_at: Option<OffsetDateTime>,
}

/// Rows of each status that are looked at to count those within reach.
const LOOKED_AT_MAX: i64 = 50_000;

/// A line of one's own figures, among all that were looked at.
#[derive(FromRow)]
struct OwnLine {
    #[sqlx(flatten)]
    line: QueueLine,
    looked_at: i64,
}

/// A line of `postrider.dead_letters`, without the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct DeadLetter {
    /// The delivery.
    pub id: i64,
    /// Its instance.
    pub instance_name: String,
    /// The endpoint's label; none for a row inserted directly.
    pub endpoint: Option<String>,
    /// The endpoint.
    pub endpoint_id: Option<i64>,
    /// Where it was to go.
    pub url: String,
    /// Event name.
    pub event_type: String,
    /// The event; none for a row inserted directly.
    pub event_id: Option<String>,
    /// Attempts made.
    pub attempts: i32,
    /// What the last one said.
    pub last_error: Option<String>,
    /// When it was queued.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it died.
    #[serde(with = "time::serde::rfc3339")]
    pub failed_at: OffsetDateTime,
}

/// A line of the attempt log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct AttemptLine {
    /// Its number within the cycle.
    pub attempt: i32,
    /// When it began, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// From the start of the request to the end of the response.
    pub duration_ms: i32,
    /// delivered, retry or failed.
    pub outcome: String,
    /// The kind of failure.
    pub class: Option<String>,
    /// The HTTP status, where one arrived.
    pub status: Option<i32>,
    /// What happened, in a line.
    pub detail: Option<String>,
}

/// Which dead letters get a new cycle. What is none does not narrow it.
#[derive(Debug, Clone, Default)]
pub struct Requeue {
    /// Those of an instance.
    pub instance: Option<String>,
    /// Those of an endpoint.
    pub endpoint: Option<i64>,
    /// Just these, delivered ones too.
    pub ids: Option<Vec<i64>>,
    /// Those that died since then.
    pub since: Option<OffsetDateTime>,
    /// Those that died before.
    pub until: Option<OffsetDateTime>,
    /// Those whose error is like this (SQL's `like`).
    pub error_like: Option<String>,
}

/// What became of a test delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestResult {
    /// It was attempted.
    Attempted(AttemptLine),
    /// Nobody has attempted it yet.
    Waiting,
}

impl Database {
    /// The queue by channel and status, a few seconds old.
    pub async fn queue_stats(&self) -> Result<Vec<QueueLine>, Error> {
        sqlx::query_as(
            "-- queue.stats: by the public view
            select channel, status, greatest(rows, 0) as rows, as_of, oldest_due_at from postrider.queue_stats order by channel, status",
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("read the queue's statistics"))
    }

    /// What is pending and what has failed within reach, counted now; and whether all of it was counted. No figure is kept for
    /// each owner, for every event would pay for it: so rows are looked at, whoever's they are, those due first, and no more
    /// than is cheap.
    pub async fn queue_stats_within(&self, reach: Reach) -> Result<(Vec<QueueLine>, bool), Error> {
        let lines: Vec<OwnLine> = sqlx::query_as(
            "-- queue.stats_within: among the first rows of each index
            with looked_at as materialized (
              (select channel, status::text, instance_name, endpoint_id, created_at, next_retry_at, lease_until from postrider.webhook_queue
               where status = 'pending' order by lane, next_retry_at, id limit $3)
              union all
              (select channel, status::text, instance_name, endpoint_id, created_at, next_retry_at, lease_until from postrider.webhook_queue
               where status = 'failed' order by id desc limit $3)
            )
            select queue.channel, queue.status, count(instance.id) as rows, now() as as_of, count(*) as looked_at
              , min(queue.next_retry_at) filter (where instance.id is not null and queue.status = 'pending' and queue.next_retry_at <= now()
                  and (queue.lease_until is null or queue.lease_until < now())) as oldest_due_at
            from looked_at queue
            left join postrider.instances instance on instance.name = queue.instance_name and instance.account_id = $1
              and ($2::bigint is null or instance.id = $2) and queue.created_at >= instance.created_at
              and ($4 or not exists (select from postrider.endpoints endpoint where endpoint.id = queue.endpoint_id and endpoint.is_global))
            group by queue.channel, queue.status order by queue.channel, queue.status",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(LOOKED_AT_MAX)
        .bind(reach.operator)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("count the queue"))?;
        let of = |status: &str| -> i64 {
            let those = lines.iter().filter(|own| own.line.status == status);
            those.map(|own| own.looked_at).sum()
        };
        let complete = of("pending") < LOOKED_AT_MAX && of("failed") < LOOKED_AT_MAX;
        let lines = lines.into_iter().map(|own| own.line);
        Ok((lines.filter(|line| line.rows > 0).collect(), complete))
    }

    /// The latest dead letters, by id.
    pub async fn dead_letters(
        &self,
        instance: Option<&str>,
        endpoint: Option<i64>,
        limit: i64,
    ) -> Result<Vec<DeadLetter>, Error> {
        sqlx::query_as(
            "-- dead_letters.list: the latest, by the public view
            select id, instance_name, endpoint, endpoint_id, url, event_type, event_id, attempts, last_error, created_at, failed_at
            from postrider.dead_letters
            where ($1::text is null or instance_name = $1) and ($2::bigint is null or endpoint_id = $2)
            order by id desc limit $3",
        )
        .bind(instance)
        .bind(endpoint)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list dead letters"))
    }

    /// The attempt log of a delivery, the earliest first.
    pub async fn attempts_of(&self, delivery: i64) -> Result<Vec<AttemptLine>, Error> {
        sqlx::query_as(
            "-- attempts.list: of one delivery
            select attempt, at, duration_ms, outcome, class, status, detail from postrider.attempts
            where delivery_id = $1 order by at, attempt",
        )
        .bind(delivery)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("read the attempt log"))
    }

    /// Gives dead letters a new cycle of attempts; answers with how many. However many there are: no time limit ends it.
    pub async fn requeue(&self, which: &Requeue) -> Result<i64, Error> {
        let mut transaction = self.unhurried().await?;
        let moved = sqlx::query_scalar(
            "-- queue.requeue: by the public function
            select postrider.requeue(instance => $1, endpoint => $2, ids => $3, since => $4, until => $5, error_like => $6)",
        )
        .persistent(false)
        .bind(which.instance.as_deref())
        .bind(which.endpoint)
        .bind(which.ids.as_deref())
        .bind(which.since)
        .bind(which.until)
        .bind(which.error_like.as_deref())
        .fetch_one(&mut *transaction)
        .await
        .map_err(Error::refusal_or_doing("re-queue"))?;
        transaction
            .commit()
            .await
            .map_err(Error::doing("re-queue"))?;
        Ok(moved)
    }

    /// Queues every event since then once more for an endpoint; answers with how many. However many there are.
    pub async fn replay(
        &self,
        endpoint: i64,
        since: OffsetDateTime,
        until: Option<OffsetDateTime>,
    ) -> Result<i64, Error> {
        let mut transaction = self.unhurried().await?;
        let queued = sqlx::query_scalar(
            "-- queue.replay: by the public function
            select postrider.replay(endpoint => $1, since => $2, until => $3)",
        )
        .persistent(false)
        .bind(endpoint)
        .bind(since)
        .bind(until)
        .fetch_one(&mut *transaction)
        .await
        .map_err(Error::refusal_or_doing("replay"))?;
        transaction.commit().await.map_err(Error::doing("replay"))?;
        Ok(queued)
    }

    /// A transaction for one statement over many rows, which may take longer than others may, and wait for another one.
    pub(super) async fn unhurried(&self) -> Result<sqlx::PgTransaction<'static>, Error> {
        let doing = "begin a long operation";
        let mut transaction = self.pool().begin().await.map_err(Error::doing(doing))?;
        for setting in [
            "set local statement_timeout = 0",
            "set local lock_timeout = '5min'",
        ] {
            sqlx::query(setting)
                .persistent(false)
                .execute(&mut *transaction)
                .await
                .map_err(Error::doing(doing))?;
        }
        Ok(transaction)
    }

    /// Queues a delivery that is tried once; answers with its id. Nothing but this endpoint sees it.
    pub async fn queue_test(&self, endpoint: i64, payload: &str) -> Result<i64, Error> {
        sqlx::query_scalar(
            "-- queue.test: by the public function
            select postrider.queue_test(endpoint => $1, payload => $2)",
        )
        .bind(endpoint)
        .bind(payload)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("queue a test delivery"))
    }

    /// What became of a test delivery by now.
    pub async fn test_result(&self, delivery: i64) -> Result<TestResult, Error> {
        Ok(self
            .attempts_of(delivery)
            .await?
            .pop()
            .map_or(TestResult::Waiting, TestResult::Attempted))
    }

    /// Removes a test delivery: it is no dead letter that anybody has to look at. One that is in flight ends by itself.
    pub async fn remove_test(&self, delivery: i64) -> Result<(), Error> {
        sqlx::query(
            "-- queue.remove_test: unless a worker holds it
            delete from postrider.webhook_queue where id = $1 and event_type = 'postrider.test' and lease_token is null",
        )
        .bind(delivery)
        .execute(self.pool())
        .await
        .map_err(Error::refusal_or_doing("remove a test delivery"))?;
        Ok(())
    }
}
