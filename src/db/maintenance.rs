//! Retention, depth, release: the statements of maintenance. Each does a bounded piece and says whether there is more,
//! and each is safe when two processes do it at once.

use std::time::Duration;

use super::queue::HELD_BATCH;
use super::{Database, Error};

/// Rows looked at or removed by one statement.
const BATCH: i64 = 5000;
/// Rows buried by one statement: each costs more than one that is removed.
const BURIED_BATCH: i64 = 1000;

/// How the queue's table and the cluster are, for metrics and `doctor`.
#[derive(Debug, Clone, Default, PartialEq, sqlx::FromRow)]
pub struct TableHealth {
    /// Updates of the queue that were HOT, as a share, since statistics began.
    pub hot_update_ratio: Option<f64>,
    /// Dead tuples in the queue's table.
    pub dead_tuples: i64,
    /// Age of the oldest transaction that holds a snapshot (s).
    pub oldest_transaction_s: Option<f64>,
    /// Age of the oldest due delivery that nobody holds, and that waits for no endpoint which is paused or does not answer (s).
    pub oldest_due_s: Option<f64>,
    /// Events written since statistics began, those of transactions that rolled back included.
    pub events_written: i64,
    /// Endpoints that are paused or disabled.
    pub held_endpoints: i64,
    /// Endpoints that have not answered since they last failed.
    pub failing_endpoints: i64,
}

/// One line of the queue's depth.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Depth {
    /// Which channel.
    pub channel: String,
    /// Which status.
    pub status: String,
    /// How many rows.
    pub rows: i64,
}

impl Database {
    /// Brings the queue's depth up to date and drops what has been added up.
    pub async fn add_up_depth(&self) -> Result<(), Error> {
        sqlx::query("select postrider.add_up_queue_depth()")
            .execute(self.pool())
            .await
            .map_err(Error::doing("add up the queue's depth"))?;
        sqlx::query(
            // What was deleted before is not looked through again: behind a transaction that is held open it is all still there.
            "-- depth.forget: deltas that every later snapshot has behind it
            with taken as materialized (
              -- In a cluster that it was restored into, ids begin low again.
              select case when forgotten_below <= pg_snapshot_xmin(snap) then forgotten_below else '0' end as after, pg_snapshot_xmin(snap) as below
              from postrider.queue_depth_snapshot
            ), old as materialized (
              -- By scalars, which bound the index; joined, all of it was read.
              select change.xid from postrider.queue_changes change
              where change.xid >= (select taken.after from taken) and change.xid < (select taken.below from taken)
              order by change.xid limit 20000
            ), removed as (
              delete from postrider.queue_changes change where change.xid = any (array(select old.xid from old))
            )
            update postrider.queue_depth_snapshot set forgotten_below = taken.below
            from taken
            where (select count(*) from old) < 20000 and taken.below <> taken.after",
        )
        .execute(self.pool())
        .await
        .map_err(Error::doing("forget what was added up"))?;
        Ok(())
    }

    /// Looks for the oldest due delivery, and where workers are to begin. However long it takes: lanes with much that cannot be
    /// vacuumed may be slow, and one at a time of those.
    pub async fn look_for_oldest_due(&self) -> Result<(), Error> {
        self.take_time_for("select false from postrider.look_for_oldest_due()")
            .await?;
        while self
            .take_time_for("select postrider.look_through_lane()")
            .await?
        {}
        Ok(())
    }

    /// One of these looks; true where another one is to follow.
    async fn take_time_for(&self, statement: &'static str) -> Result<bool, Error> {
        let doing = "look for the oldest due delivery";
        let mut transaction = self.pool().begin().await.map_err(Error::doing(doing))?;
        sqlx::query("set local statement_timeout = '10min'")
            .persistent(false)
            .execute(&mut *transaction)
            .await
            .map_err(Error::doing(doing))?;
        let more = sqlx::query_scalar(statement)
            .fetch_one(&mut *transaction)
            .await
            .map_err(Error::doing(doing))?;
        transaction.commit().await.map_err(Error::doing(doing))?;
        Ok(more)
    }

    /// Leaves the lane whose turn it is to the next round: it takes longer than anything may.
    pub async fn skip_lane(&self) -> Result<(), Error> {
        sqlx::query("update postrider.queue_depth_snapshot set next_whole = (next_whole + 1) % 64, owed = '10 seconds', slow_looks = slow_looks + 1")
            .execute(self.pool())
            .await
            .map_err(Error::doing("leave out a lane"))?;
        Ok(())
    }

    /// The queue's depth as last added up.
    pub async fn depth(&self) -> Result<Vec<Depth>, Error> {
        sqlx::query_as(
            "select channel, status, greatest(rows, 0) as rows from postrider.queue_depth",
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("read the queue's depth"))
    }

    /// How the queue's table and the cluster are.
    pub async fn table_health(&self) -> Result<TableHealth, Error> {
        sqlx::query_as(
            "-- health.table: from the statistics views and small tables alone
            select (stats.n_tup_hot_upd::double precision / nullif(stats.n_tup_upd, 0)) as hot_update_ratio
              , coalesce(stats.n_dead_tup, 0) as dead_tuples
              , (select extract(epoch from now() - min(activity.xact_start))::double precision from pg_stat_activity activity
                 where activity.backend_xmin is not null or activity.backend_xid is not null) as oldest_transaction_s
              , (select extract(epoch from now() - taken.oldest_due_at)::double precision from postrider.queue_depth_snapshot taken) as oldest_due_s
              , coalesce((select events.n_tup_ins from pg_stat_user_tables events where events.relid = 'postrider.events'::regclass), 0) as events_written
              , (select count(*) from postrider.endpoints endpoint where endpoint.state <> 'enabled') as held_endpoints
              , (select count(*) from postrider.endpoint_health health where health.failing_since is not null) as failing_endpoints
            from pg_stat_user_tables stats
            where stats.relid = 'postrider.webhook_queue'::regclass",
        )
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("read the statistics of the queue"))
    }

    /// Removes delivered rows (and failed ones, where that is wanted) past their retention, from `after` on. Answers with where to
    /// go on; none at the end, which is where rows are younger than anything that may go.
    pub async fn expire_deliveries(
        &self,
        after: i64,
        delivered: Option<Duration>,
        failed: Option<Duration>,
    ) -> Result<Option<i64>, Error> {
        sqlx::query_scalar(
            // Ids rise with time: one batch in which nothing is old enough ends the round, or a week of deliveries would be read
            // every minute. A row that was written by hand with an old time goes when its neighbours do.
            "-- retention.deliveries: walk the queue by id, once a round, and remove what is old
            with looked_at as materialized (
              select queue.id, queue.status, queue.created_at, queue.updated_at from postrider.webhook_queue queue where queue.id > $1 order by queue.id limit $4
            ), removed as (
              delete from postrider.webhook_queue queue
              where queue.id = any (array(
                select looked_at.id from looked_at
                where (looked_at.status = 'delivered' and looked_at.updated_at < now() - make_interval(secs => $2))
                   or (looked_at.status = 'failed' and looked_at.updated_at < now() - make_interval(secs => $3))))
            )
            select case when count(*) = $4 and min(looked_at.created_at) < now() - make_interval(secs => least($2, $3)) then max(looked_at.id) end from looked_at",
        )
        .bind(after)
        .bind(delivered.map(|delivered| delivered.as_secs_f64()))
        .bind(failed.map(|failed| failed.as_secs_f64()))
        .bind(BATCH)
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("remove old deliveries"))
    }

    /// Removes events, attempts, failures of captures and idempotency keys past their retention, a batch of each; none is for
    /// ever. Answers whether there may be more.
    pub async fn expire_logs(
        &self,
        events: Option<Duration>,
        attempts: Option<Duration>,
        keys: Option<Duration>,
    ) -> Result<bool, Error> {
        let mut more = false;
        for (statement, age) in [
            (
                "-- retention.events: the oldest are the lowest ids
                with old as materialized (
                  select early.id from (select event.id, event.created_at from postrider.events event order by event.id limit $2) early
                  where early.created_at < now() - make_interval(secs => $1)
                ), senders as (
                  delete from postrider.event_senders said where said.event_id = any (array(select old.id from old))
                )
                delete from postrider.events event where event.id = any (array(select old.id from old))",
                events,
            ),
            (
                "-- retention.attempts: by the time index
                delete from postrider.attempts attempt where attempt.ctid = any (array(
                  select old.ctid from postrider.attempts old where old.at < now() - make_interval(secs => $1) limit $2))",
                attempts,
            ),
            (
                "-- retention.capture_failures: the oldest are the lowest ids; they stay as long as the attempt log
                delete from postrider.capture_failure_log failure where failure.id = any (array(
                  select old.id from (select early.id, early.failed_at from postrider.capture_failure_log early order by early.id limit $2) old
                  where old.failed_at < now() - make_interval(secs => $1)))",
                attempts,
            ),
            (
                "-- retention.idempotency_keys: by the time index
                delete from postrider.idempotency_keys known where known.ctid = any (array(
                  select old.ctid from postrider.idempotency_keys old where old.created_at < now() - make_interval(secs => $1) limit $2))",
                keys,
            ),
        ] {
            let removed = sqlx::query(statement)
                .bind(age.map(|age| age.as_secs_f64()))
                .bind(BATCH)
                .execute(self.pool())
                .await
                .map_err(Error::doing("remove what is past its retention"))?
                .rows_affected();
            more |= removed >= BATCH.unsigned_abs();
        }
        Ok(more)
    }

    /// Releases what was set aside for endpoints that are enabled again, a batch each. Answers whether there may be more.
    pub async fn release_held(&self) -> Result<bool, Error> {
        let enabled: Vec<i64> = sqlx::query_scalar(
            "-- health.releasable: enabled endpoints with rows set aside
            select health.endpoint_id from postrider.endpoint_health health
            join postrider.endpoints endpoint on endpoint.id = health.endpoint_id
            where health.held_since is not null and endpoint.state = 'enabled'",
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("look for endpoints to release"))?;
        let mut more = false;
        for endpoint in enabled {
            let released = self.release(endpoint).await?;
            if released > 0 {
                sqlx::query("select postrider.ring()")
                    .execute(self.pool())
                    .await
                    .map_err(Error::doing("ring"))?;
            }
            if released >= HELD_BATCH {
                more = true;
                continue;
            }
            sqlx::query("update postrider.endpoint_health set held_since = null where endpoint_id = $1 and held_since < now() - interval '1 minute'")
                .bind(endpoint)
                .execute(self.pool())
                .await
                .map_err(Error::doing("note a released endpoint"))?;
        }
        Ok(more)
    }

    /// Moves what is pending for endpoints that were deleted to the dead letters, a batch of each. Answers whether there may be more.
    pub async fn bury_deleted(&self) -> Result<bool, Error> {
        let deleted: Vec<(i64, String)> = sqlx::query_as(
            "-- deleted.list: endpoints that are gone and of which deliveries may be pending
            select endpoint_id, why from postrider.deleted_endpoints order by deleted_at limit 100",
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("look for deleted endpoints"))?;
        let mut more = false;
        for (endpoint, why) in deleted {
            let buried = sqlx::query(
                "-- deleted.bury: what is pending for a deleted endpoint; a lease ends with it
                update postrider.webhook_queue queue set status = 'failed', last_error = $2
                where queue.id = any (array(
                  select waiting.id from postrider.webhook_queue waiting
                  where waiting.status = 'pending' and waiting.lane = (hashint8($1) & 63)::smallint and waiting.target = $1
                  order by waiting.next_retry_at, waiting.id limit $3
                  for no key update skip locked))",
            )
            .bind(endpoint)
            .bind(why)
            .bind(BURIED_BATCH)
            .execute(self.pool())
            .await
            .map_err(Error::doing("bury what a deleted endpoint had"))?
            .rows_affected();
            if buried >= BURIED_BATCH.unsigned_abs() {
                more = true;
                continue;
            }
            sqlx::query(
                "-- deleted.forget: nothing is left, and transactions that still knew the endpoint have ended
                delete from postrider.deleted_endpoints gone
                where gone.endpoint_id = $1 and gone.deleted_at < now() - interval '1 minute' and not exists (
                  select from postrider.webhook_queue waiting
                  where waiting.status = 'pending' and waiting.lane = (hashint8($1) & 63)::smallint and waiting.target = $1)",
            )
            .bind(endpoint)
            .execute(self.pool())
            .await
            .map_err(Error::doing("forget a deleted endpoint"))?;
        }
        Ok(more)
    }

    /// Forgets rows that waited to be sealed and are gone, or were sealed by someone else.
    pub async fn forget_sealed(&self) -> Result<(), Error> {
        sqlx::query(
            "delete from postrider.unsealed_rows unsealed where not exists (
               select from postrider.webhook_queue queue
               where queue.id = unsealed.delivery_id and queue.auth_header is not null and queue.auth_header not like 'sealed:%')",
        )
        .execute(self.pool())
        .await
        .map_err(Error::doing("forget sealed rows"))?;
        Ok(())
    }

    /// Removes signing secrets whose rotation is over.
    pub async fn expire_signing_secrets(&self) -> Result<(), Error> {
        sqlx::query("delete from postrider.signing_secrets where expires_at < now()")
            .execute(self.pool())
            .await
            .map_err(Error::doing("remove expired signing secrets"))?;
        Ok(())
    }
}
