//! What a soak asks of the queue.

use crate::db::{Database, Error};

/// How the queue is when everything is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Outcome {
    /// Rows that wait.
    pub pending: i64,
    /// Rows that somebody holds.
    pub leased: i64,
    /// Rows that arrived.
    pub delivered: i64,
    /// Dead letters.
    pub failed: i64,
    /// What arrived and was to die.
    pub survived: i64,
    /// Attempts that the log calls delivered.
    pub logged: i64,
    /// Attempts that failed otherwise than by a refusal.
    pub unscripted: i64,
    /// By how many rows the depth as it was added up differs from that, over all statuses.
    pub depth_error: i64,
}

impl Database {
    /// Whether anything is pending, due or not.
    pub async fn bench_any_pending(&self) -> Result<bool, Error> {
        let mut connection = self.bench_patient().await?;
        sqlx::query_scalar(
            "select exists (select from generate_series(0, 63) as l(lane) cross join lateral (
               select from postrider.webhook_queue q where q.status = 'pending' and q.lane = l.lane::smallint limit 1) head)",
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::doing("look whether the queue is empty"))
    }

    /// How it ended, where every `dies_every`th event was to become a dead letter.
    pub async fn bench_outcome(&self, dies_every: i64) -> Result<Outcome, Error> {
        let doing = "judge how the queue ended";
        let mut connection = self.bench_patient().await?;
        sqlx::raw_sql("select postrider.add_up_queue_depth()")
            .execute(&mut *connection)
            .await
            .map_err(Error::doing(doing))?;
        sqlx::query_as(
            "with queue as materialized (
               select q.status, count(*) as rows, count(*) filter (where q.lease_token is not null) as leased
                    , count(*) filter (where q.status <> 'failed' and q.event_id % $1 = 0) as survived
               from postrider.webhook_queue q group by q.status
             ), log as (
               select count(*) filter (where outcome = 'delivered') as logged
                    , count(*) filter (where outcome <> 'delivered' and status is distinct from 500) as unscripted
               from postrider.attempts
             )
             select coalesce(sum(queue.rows) filter (where queue.status = 'pending'), 0)::bigint as pending
                  , coalesce(sum(queue.leased), 0)::bigint as leased
                  , coalesce(sum(queue.rows) filter (where queue.status = 'delivered'), 0)::bigint as delivered
                  , coalesce(sum(queue.rows) filter (where queue.status = 'failed'), 0)::bigint as failed
                  , coalesce(sum(queue.survived), 0)::bigint as survived
                  , (select logged from log), (select unscripted from log)
                  , (select coalesce(sum(abs(coalesce(counted.rows, 0) - coalesce(known.rows, 0))), 0)::bigint
                     from queue counted full join postrider.queue_depth known on known.status = counted.status) as depth_error
             from queue",
        )
        .bind(dies_every)
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::doing(doing))
    }
}
