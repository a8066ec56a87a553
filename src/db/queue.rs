//! The queue: claim, complete, return, extend, hold, release. The statements are in `sql/queue/`, one a file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::{Database, Error};
use crate::model::{Attempt, Channel, Delivery, Lease, Outcome, Resolution};

/// The longest wait that is written: ten years.
const WAIT_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// Rows set aside or released by one statement, as it stands in `hold.sql` and `release.sql`.
pub const HELD_BATCH: u64 = 5000;

/// How many hash lanes the queue has.
pub const LANES: usize = 64;

/// A place in a lane: everything up to it has been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// `next_retry_at` of the last row looked at.
    pub at: OffsetDateTime,
    /// Its id.
    pub id: i64,
}

impl Position {
    /// Before every row.
    pub fn start() -> Self {
        // Where Postgres's calendar begins.
        Self {
            at: OffsetDateTime::UNIX_EPOCH - time::Duration::days(2_440_580),
            id: 0,
        }
    }

    /// After every row; a fresh window that begins here begins in the present.
    pub fn end() -> Self {
        Self {
            at: OffsetDateTime::UNIX_EPOCH + time::Duration::days(2_900_000),
            id: i64::MAX,
        }
    }
}

/// One lane's part in a claim.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Which lane.
    pub lane: i16,
    /// Where to read on from.
    pub after: Position,
    /// How many rows to look at.
    pub rows: i32,
    /// Whether this is the fresh end, whose last moments are always read again.
    pub fresh: bool,
}

/// How far one window was read.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// Which window, by its index.
    pub window: usize,
    /// How many rows were looked at, passed-over ones included.
    pub rows: i64,
    /// The last of them.
    pub end: Position,
}

/// What a claim brought.
#[derive(Debug, Default)]
pub struct Claim {
    /// The deliveries now leased to us.
    pub deliveries: Vec<Delivery>,
    /// How far each window was read; windows with nothing in them are absent.
    pub reached: Vec<Reached>,
}

/// A delivery to be given back, and after which wait it is due; none: as it was.
pub type GivingBack = (Lease, Option<Duration>);

/// What became of deliveries that were given back.
#[derive(Debug, Default)]
pub struct GivenBack {
    /// How many are anybody's now.
    pub returned: usize,
    /// Those that somebody had locked: they are still ours, to be given back again.
    pub locked: Vec<GivingBack>,
}

/// What to claim.
#[derive(Debug)]
pub struct ClaimRequest<'a> {
    /// Where to look.
    pub windows: &'a [Window],
    /// Targets to pass over.
    pub busy: &'a [i64],
    /// How far back the fresh end is read again.
    pub overlap: Duration,
    /// For how long to hold what is found.
    pub lease: Duration,
    /// The token of that hold.
    pub token: i64,
}

impl Database {
    /// Leases due deliveries.
    pub async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, Error> {
        let windows = request.windows;
        let rows = sqlx::query(include_str!("../../sql/queue/claim.sql"))
            .bind(windows.iter().map(|window| window.lane).collect::<Vec<_>>())
            .bind(
                windows
                    .iter()
                    .map(|window| window.after.at)
                    .collect::<Vec<_>>(),
            )
            .bind(
                windows
                    .iter()
                    .map(|window| window.after.id)
                    .collect::<Vec<_>>(),
            )
            .bind(windows.iter().map(|window| window.rows).collect::<Vec<_>>())
            .bind(
                windows
                    .iter()
                    .map(|window| window.fresh)
                    .collect::<Vec<_>>(),
            )
            .bind(request.overlap.as_secs_f64())
            .bind(request.busy)
            .bind(request.lease.as_secs_f64())
            .bind(request.token)
            .fetch_all(self.pool())
            .await
            .map_err(Error::doing("claim deliveries"))?;
        let mut claim = Claim {
            deliveries: Vec::with_capacity(rows.len()),
            reached: Vec::new(),
        };
        for row in &rows {
            match read_claimed(row, request.token)
                .map_err(Error::doing("read a claimed delivery"))?
            {
                Claimed::Delivery(delivery) => claim.deliveries.push(*delivery),
                Claimed::Reached(reached) => claim.reached.push(reached),
            }
        }
        Ok(claim)
    }

    /// Ends the leases of finished attempts. Answers with the deliveries that were still ours.
    pub async fn complete(&self, attempts: &[Attempt], worker: &str) -> Result<Vec<i64>, Error> {
        let columns = Columns::of(attempts);
        sqlx::query_scalar(include_str!("../../sql/queue/complete.sql"))
            .bind(columns.deliveries)
            .bind(columns.tokens)
            .bind(columns.statuses)
            .bind(columns.waits_s)
            .bind(columns.counts)
            .bind(columns.durations_ms)
            .bind(columns.classes)
            .bind(columns.http_statuses)
            .bind(columns.details)
            .bind(columns.responses)
            .bind(worker)
            .fetch_all(self.pool())
            .await
            .map_err(Error::doing("complete deliveries"))
    }

    /// Shows in rows of endpoints where their deliveries really go.
    pub async fn refresh_urls(&self, deliveries: &[i64]) -> Result<(), Error> {
        sqlx::query(
            "-- queue.refresh_urls: rows of an endpoint show the endpoint's URL
            update postrider.webhook_queue queue
            set url = postrider.endpoint_url(endpoint.url, endpoint.by_events, queue.event_type, endpoint.dialect)
            from postrider.endpoints endpoint
            where queue.id = any ($1) and endpoint.id = queue.endpoint_id and queue.lease_token is not null",
        )
        .bind(deliveries)
        .execute(self.pool())
        .await
        .map_err(Error::doing("refresh the URLs of deliveries"))?;
        Ok(())
    }

    /// Which of these leases are still ours, whoever has the row locked.
    pub async fn still_leased(&self, leases: &[Lease]) -> Result<Vec<i64>, Error> {
        sqlx::query_scalar(
            "-- queue.still_leased: leases that are still what they were
            select queue.id
            from unnest($1::bigint[], $2::bigint[]) as asked(delivery, token)
            join postrider.webhook_queue queue
              on queue.id = asked.delivery and queue.lease_token = asked.token and queue.status = 'pending'",
        )
        .bind(leases.iter().map(|lease| lease.delivery).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| lease.token).collect::<Vec<_>>())
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("look whether leases hold"))
    }

    /// Gives back deliveries that were not started: in place, or due only after a wait.
    pub async fn give_back(&self, leases: &[GivingBack]) -> Result<GivenBack, Error> {
        let returned: Vec<i64> = sqlx::query_scalar(include_str!("../../sql/queue/return.sql"))
            .bind(
                leases
                    .iter()
                    .map(|(lease, _)| lease.delivery)
                    .collect::<Vec<_>>(),
            )
            .bind(
                leases
                    .iter()
                    .map(|(lease, _)| lease.token)
                    .collect::<Vec<_>>(),
            )
            .bind(
                leases
                    .iter()
                    .map(|(_, wait)| wait.map(|wait| wait.as_secs_f64()))
                    .collect::<Vec<_>>(),
            )
            .fetch_all(self.pool())
            .await
            .map_err(Error::doing("return deliveries"))?;
        let mut given = GivenBack {
            returned: returned.len(),
            locked: Vec::new(),
        };
        if returned.len() < leases.len() {
            let returned: HashSet<i64> = returned.into_iter().collect();
            let mut left = leases.to_vec();
            left.retain(|(lease, _)| !returned.contains(&lease.delivery));
            let asked: Vec<Lease> = left.iter().map(|(lease, _)| *lease).collect();
            let ours: HashSet<i64> = self.still_leased(&asked).await?.into_iter().collect();
            left.retain(|(lease, _)| ours.contains(&lease.delivery));
            given.locked = left;
        }
        Ok(given)
    }

    /// Keeps leases. Answers with the deliveries that are still ours.
    pub async fn extend(&self, leases: &[Lease], lease: Duration) -> Result<Vec<i64>, Error> {
        sqlx::query_scalar(include_str!("../../sql/queue/extend.sql"))
            .bind(
                leases
                    .iter()
                    .map(|lease| lease.delivery)
                    .collect::<Vec<_>>(),
            )
            .bind(leases.iter().map(|lease| lease.token).collect::<Vec<_>>())
            .bind(lease.as_secs_f64())
            .fetch_all(self.pool())
            .await
            .map_err(Error::doing("extend leases"))
    }

    /// Sets aside what is due for a target. Answers with how many, at most [`HELD_BATCH`].
    pub async fn hold(&self, target: i64, wait: Duration) -> Result<u64, Error> {
        let lane = self.lane_of(target).await?;
        let held = async {
            let mut transaction = self.pool().begin().await?;
            // A backlog is read from its beginning, in order; as a bitmap the whole of it is read and sorted each time.
            sqlx::raw_sql("set local enable_bitmapscan = off")
                .execute(&mut *transaction)
                .await?;
            let done = sqlx::query(include_str!("../../sql/queue/hold.sql"))
                .bind(lane)
                .bind(target)
                .bind(wait.as_secs_f64())
                .persistent(false)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(done.rows_affected())
        };
        held.await.map_err(Error::doing("hold deliveries"))
    }

    /// Makes due again what was set aside for a target. Answers with how many, at most [`HELD_BATCH`].
    pub async fn release(&self, target: i64) -> Result<u64, Error> {
        let lane = self.lane_of(target).await?;
        let done = sqlx::query(include_str!("../../sql/queue/release.sql"))
            .bind(lane)
            .bind(target)
            .execute(self.pool())
            .await
            .map_err(Error::doing("release deliveries"))?;
        Ok(done.rows_affected())
    }

    /// The lane of an endpoint, as the table computes it.
    async fn lane_of(&self, endpoint: i64) -> Result<i16, Error> {
        sqlx::query_scalar("select (hashint8($1) & 63)::smallint")
            .bind(endpoint)
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("compute a lane"))
    }
}

/// One row of a claim's answer.
enum Claimed {
    Delivery(Box<Delivery>),
    Reached(Reached),
}

/// Reads one row, by position: this runs for every delivery.
fn read_claimed(row: &PgRow, token: i64) -> Result<Claimed, sqlx::Error> {
    let Some(id) = row.try_get::<Option<i64>, _>(0)? else {
        let entry: i64 = row.try_get(19)?;
        return Ok(Claimed::Reached(Reached {
            window: usize::try_from(entry - 1).unwrap_or(usize::MAX),
            rows: row.try_get(20)?,
            end: Position {
                at: row.try_get(21)?,
                id: row.try_get(22)?,
            },
        }));
    };
    let payload: &[u8] = row.try_get(4)?;
    let event: Option<i64> = row.try_get(11)?;
    let nonce: Option<i32> = row.try_get(12)?;
    let seconds = |value: Option<f64>| {
        value.map(|value| Duration::try_from_secs_f64(value).unwrap_or_default())
    };
    Ok(Claimed::Delivery(Box::new(Delivery {
        lease: Lease {
            delivery: id,
            token,
        },
        target: row.try_get(1)?,
        instance: row.try_get(2)?,
        url: row.try_get(3)?,
        payload: Bytes::copy_from_slice(payload),
        auth_header: row.try_get(5)?,
        event_type: row.try_get(6)?,
        attempts: u32::try_from(row.try_get::<i32, _>(7)?).unwrap_or(0),
        attempts_max: u32::try_from(row.try_get::<i32, _>(8)?).unwrap_or(1),
        channel: Channel::Webhook,
        endpoint_id: row.try_get(10)?,
        event_id: match (event, nonce) {
            // The same text as postrider.event_id(), to_hex() of a negative integer included.
            (Some(event), Some(nonce)) => format!("evt_{event}_{nonce:x}"),
            _ => format!("row-{id}"),
        },
        occurred_at: row.try_get(13)?,
        crashes: u32::try_from(row.try_get::<i32, _>(14)?).unwrap_or(0),
        age: seconds(row.try_get(15)?).unwrap_or_default(),
        since_first_attempt: seconds(row.try_get(16)?),
        endpoint_version: row.try_get(17)?,
        lane: row.try_get(18)?,
    })))
}

/// A text as Postgres takes it: one that it refuses would keep all other outcomes of the batch from being written.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Attempts as the arrays that `complete` takes.
#[derive(Default)]
struct Columns<'a> {
    deliveries: Vec<i64>,
    tokens: Vec<i64>,
    statuses: Vec<&'static str>,
    waits_s: Vec<f64>,
    counts: Vec<bool>,
    durations_ms: Vec<i32>,
    classes: Vec<Option<&'static str>>,
    http_statuses: Vec<Option<i32>>,
    details: Vec<Option<Cow<'a, str>>>,
    responses: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn of(attempts: &'a [Attempt]) -> Self {
        let mut columns = Self::default();
        for attempt in attempts {
            columns.push(attempt);
        }
        columns
    }

    fn push(&mut self, attempt: &'a Attempt) {
        let (status, wait, counts) = match attempt.resolution {
            Resolution::Delivered => ("delivered", Duration::ZERO, true),
            Resolution::Retry { wait, spent } => ("pending", wait, spent),
            Resolution::Failed => ("failed", Duration::ZERO, true),
        };
        // Postgres's calendar ends, and so does what one may wait for.
        let wait = wait.min(WAIT_MAX);
        let (class, http_status, detail, response) = match &attempt.outcome {
            Outcome::Delivered(receipt) => (None, receipt.status, None, &receipt.response),
            Outcome::Failed(failure) => (
                Some(failure.class.as_str()),
                failure.status,
                Some(failure.detail.as_str()),
                &failure.response,
            ),
        };
        self.deliveries.push(attempt.lease.delivery);
        self.tokens.push(attempt.lease.token);
        self.statuses.push(status);
        self.waits_s.push(wait.as_secs_f64());
        self.counts.push(counts);
        self.durations_ms
            .push(i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX));
        self.classes.push(class);
        self.http_statuses.push(http_status.map(i32::from));
        let detail = match (detail, attempt.note.as_deref()) {
            (Some(detail), Some(note)) => {
                Some(storable(&format!("{detail}; {note}")).into_owned().into())
            }
            (detail, note) => detail.or(note).map(storable),
        };
        self.details.push(detail);
        self.responses
            .push(Some(&response[..]).filter(|response| !response.is_empty()));
    }
}
