//! The demo's database, as the demo writes to it, and as it reads there what the receiver must have seen.

use sqlx::AssertSqlSafe;
use tokio::time::Instant;

use super::pool::{Database, Purpose};
use super::{ConnectOptions, Error};

/// The demo's own database. Statements are given as text, so that those a person is shown are those that run.
#[derive(Debug, Clone)]
pub struct Stage {
    database: Database,
}

/// What a committed statement came to.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Rows written, or answered with.
    pub rows: u64,
    /// Just before COMMIT was sent.
    pub sent_at: Instant,
}

/// A place in the event log and the queue: what is written later lies behind it.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Mark {
    event: i64,
    delivery: i64,
}

/// A delivery, as receivers tell it apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct Address {
    /// `instance/label`, or `direct` for a row without an endpoint.
    pub to: String,
    /// The header of that name.
    pub webhook_id: String,
}

/// An endpoint, as its owner sees it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Listed {
    /// `instance/label`.
    pub name: String,
    /// Whose envelope.
    pub dialect: String,
    /// Which types; none means all.
    pub events: Vec<String>,
    /// Whether the type is a part of the URL.
    pub by_events: bool,
    /// Whether it has an `Authorization` of its own.
    pub has_authorization: bool,
    /// How many secrets sign for it.
    pub signing_secrets: i64,
    /// Its row of the backoff table.
    pub schedule: String,
}

/// A delivery that what was committed asks for.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Owed {
    /// To whom, and which.
    #[sqlx(flatten)]
    pub address: Address,
    /// SHA-256 of instance, type and data of the event, with U+001F between; of the body, where there is no event.
    pub digest: Vec<u8>,
    /// What the queue says of it; none when it was never queued.
    pub status: Option<String>,
}

/// One row of the queue, as its operator sees it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    /// `pending`, `delivered` or `failed`.
    pub status: String,
    /// Attempts in this cycle.
    pub attempts: i32,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// Attempts in the attempt log, of all cycles.
    pub logged: i64,
}

/// Rows of the queue by status.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Depth {
    /// To be delivered.
    pub pending: i64,
    /// Done.
    pub delivered: i64,
    /// Dead letters.
    pub failed: i64,
    /// Whether every change so far is in these figures: they are brought up to date every few seconds.
    pub is_current: bool,
}

impl Depth {
    /// In words.
    pub fn told(&self) -> String {
        let Self {
            pending,
            delivered,
            failed,
            ..
        } = self;
        format!("{pending} pending, {delivered} delivered, {failed} failed")
    }
}

impl Stage {
    /// Over a database.
    pub fn open(options: ConnectOptions) -> Self {
        Self {
            database: Database::open(options, Purpose::Command, 4),
        }
    }

    /// Runs a statement in a transaction of its own.
    pub async fn commit(&self, statement: &str) -> Result<Committed, Error> {
        let failed = || Error::doing("run a statement of the demo");
        let mut transaction = self.database.pool().begin().await.map_err(failed())?;
        let done = sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        let sent_at = Instant::now();
        transaction.commit().await.map_err(failed())?;
        Ok(Committed {
            rows: done.rows_affected(),
            sent_at,
        })
    }

    /// Runs a statement and takes it back. Answers with the rows it had written.
    pub async fn roll_back(&self, statement: &str) -> Result<u64, Error> {
        let failed = || Error::doing("run a statement of the demo");
        let mut transaction = self.database.pool().begin().await.map_err(failed())?;
        let done = sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        transaction.rollback().await.map_err(failed())?;
        Ok(done.rows_affected())
    }

    /// The present ends of the event log and the queue.
    pub async fn mark(&self) -> Result<Mark, Error> {
        sqlx::query_as(
            "-- demo.mark: the present ends of the event log and the queue
            select (select coalesce(max(id), 0) from postrider.events) as event
              , (select coalesce(max(id), 0) from postrider.webhook_queue) as delivery",
        )
        .fetch_one(self.database.pool())
        .await
        .map_err(Error::doing("read the ends of the log and the queue"))
    }

    /// How many events came after a mark, those about deliveries left out.
    pub async fn events_since(&self, mark: Mark) -> Result<i64, Error> {
        sqlx::query_scalar(
            "-- demo.events_since: how many events came after a mark
            select count(*) from postrider.events where id > $1 and not starts_with(type, 'postrider.')",
        )
        .bind(mark.event)
        .fetch_one(self.database.pool())
        .await
        .map_err(Error::doing("count events"))
    }

    /// The deliveries that were queued after a mark, those about deliveries left out.
    pub async fn queued_since(&self, mark: Mark) -> Result<Vec<Address>, Error> {
        sqlx::query_as(
            "-- demo.queued_since: deliveries queued after a mark
            select coalesce(queue.instance_name || '/' || endpoint.label, 'direct') as \"to\"
              , coalesce(postrider.event_id(queue.event_id, queue.event_nonce), 'row-' || queue.id) as webhook_id
            from postrider.webhook_queue queue
            left join postrider.endpoints endpoint on endpoint.id = queue.endpoint_id
            where queue.id > $1 and not starts_with(queue.event_type, 'postrider.')
            order by queue.id",
        )
        .bind(mark.delivery)
        .fetch_all(self.database.pool())
        .await
        .map_err(Error::doing("read the queue"))
    }

    /// The endpoints there are.
    pub async fn endpoints(&self) -> Result<Vec<Listed>, Error> {
        sqlx::query_as(
            "-- demo.endpoints: the endpoints there are
            select instance || '/' || label as name, dialect, events, by_events, has_authorization, signing_secrets, schedule
            from postrider.endpoint_list order by id",
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(Error::doing("list the endpoints"))
    }

    /// The waits of a schedule, as the backoff table has them, in seconds.
    pub async fn waits(&self, schedule: &str) -> Result<Vec<f64>, Error> {
        sqlx::query_scalar(
            "-- demo.waits: the waits of a schedule
            select extract(epoch from listed.wait)::double precision
            from postrider.schedules, unnest(waits) with ordinality as listed (wait, number)
            where name = $1 order by listed.number",
        )
        .bind(schedule)
        .fetch_all(self.database.pool())
        .await
        .map_err(Error::doing("read a schedule"))
    }

    /// A delivery's row in the queue.
    pub async fn row(&self, address: &Address) -> Result<Option<Row>, Error> {
        sqlx::query_as(
            "-- demo.row: one delivery of an endpoint
            select queue.status, queue.attempts, queue.last_error
              , (select count(*) from postrider.attempts attempt where attempt.delivery_id = queue.id) as logged
            from postrider.webhook_queue queue
            join postrider.endpoints endpoint on endpoint.id = queue.endpoint_id
            where queue.instance_name || '/' || endpoint.label = $1 and postrider.event_id(queue.event_id, queue.event_nonce) = $2",
        )
        .bind(&address.to)
        .bind(&address.webhook_id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(Error::doing("read a delivery"))
    }

    /// How many deliveries are pending.
    pub async fn pending(&self) -> Result<i64, Error> {
        sqlx::query_scalar(
            "-- demo.pending: how many deliveries are pending, counted
            select count(*) from postrider.webhook_queue where status = 'pending'",
        )
        .fetch_one(self.database.pool())
        .await
        .map_err(Error::doing("count what is pending"))
    }

    /// What `postrider.queue_stats` says.
    pub async fn depth(&self) -> Result<Depth, Error> {
        sqlx::query_as(
            "-- demo.depth: the queue's depth by status, and whether it is newer than the last change
            select coalesce(sum(rows) filter (where status = 'pending'), 0)::bigint as pending
              , coalesce(sum(rows) filter (where status = 'delivered'), 0)::bigint as delivered
              , coalesce(sum(rows) filter (where status = 'failed'), 0)::bigint as failed
              , coalesce(min(as_of) > (select max(updated_at) from postrider.webhook_queue), false) as is_current
            from postrider.queue_stats",
        )
        .fetch_one(self.database.pool())
        .await
        .map_err(Error::doing("read the queue's depth"))
    }

    /// Every delivery that what was committed asks for: each event for each endpoint that wants its type, and each row
    /// without an event. Told by the events, not by the queue, so that a delivery that was never queued is missed.
    pub async fn owed(&self) -> Result<Vec<Owed>, Error> {
        sqlx::query_as(
            "-- demo.owed: every delivery that what was committed asks for
            select instance.name || '/' || endpoint.label as \"to\", postrider.event_id(event.id, event.nonce) as webhook_id
              , sha256(convert_to(instance.name || chr(31) || event.type || chr(31)
                  || case when endpoint.media_base64 then event.data else postrider.without_media_base64(event.data) end::text, 'UTF8')) as digest
              , queue.status
            from postrider.events event
            join postrider.instances instance on instance.id = event.instance_id
            join postrider.endpoints endpoint on endpoint.instance_id = instance.id
              and (event.type = any (endpoint.wanted) or endpoint.wanted = '{}' and not starts_with(event.type, 'postrider.'))
            left join postrider.webhook_queue queue on queue.event_id = event.id and queue.endpoint_id = endpoint.id
            union all
            select 'direct', 'row-' || queue.id, sha256(queue.payload), queue.status
            from postrider.webhook_queue queue where queue.event_id is null",
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(Error::doing("read what was committed"))
    }

    /// The demo's own rows of which capture should have made an event and did not: `message 17`.
    pub async fn rows_without_event(&self) -> Result<Vec<String>, Error> {
        let has_begun: bool =
            sqlx::query_scalar("select to_regclass('public.messages') is not null")
                .fetch_one(self.database.pool())
                .await
                .map_err(Error::doing("look for the table of the demo"))?;
        if !has_begun {
            return Ok(Vec::new());
        }
        sqlx::query_scalar(
            "-- demo.rows_without_event: rows of the demo's table that became no event
            select 'message ' || message.id from messages message
            where not exists (select from postrider.events event
                              where event.type = 'message.exchange' and event.data ->> 'id' = 'wamid.' || message.id)
            union all
            select 'the change of message ' || message.id from messages message
            where message.direction = 'outgoing' and message.status <> 'sent' and not exists (
              select from postrider.events event
              where event.type = 'message.status' and event.data -> 'messageIds' ->> 0 = 'wamid.' || message.id)",
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(Error::doing("compare the table with the events"))
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
