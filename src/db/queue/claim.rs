//! Leases due deliveries, and says how far each lane was read.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use crate::db::{Database, Error};
use crate::model::{Channel, Delivery, Lease};

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
    /// How many of the deliveries were held by somebody until their lease expired.
    pub expired: u64,
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
    /// Where sweeps of the lanes are to begin, where too much lies at their beginnings that cannot be vacuumed: nothing that is
    /// pending was due earlier. None where they may begin at the beginning.
    pub async fn sweep_floors(&self) -> Result<Option<[Position; LANES]>, Error> {
        let found: Vec<OffsetDateTime> = sqlx::query_scalar(
            "-- queue.floors: as maintenance found them, if it is at work
            select greatest(floor.at, '4714-11-24 00:00+00 BC') from postrider.queue_depth_snapshot, unnest(due_from) with ordinality as floor(at, lane)
            where slow_looks >= 4 and looked_at between clock_timestamp() - interval '2 minutes' and clock_timestamp()
            order by floor.lane",
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("read where sweeps begin"))?;
        if found.is_empty() {
            return Ok(None);
        }
        let mut floors = [Position::start(); LANES];
        for (floor, at) in floors.iter_mut().zip(found) {
            *floor = Position { at, id: i64::MIN };
        }
        Ok(Some(floors))
    }

    /// Leases due deliveries.
    pub async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, Error> {
        let windows = request.windows;
        let rows = sqlx::query(include_str!("../../../sql/queue/claim.sql"))
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
            expired: 0,
        };
        let mut versions = HashMap::new();
        for row in &rows {
            match read_claimed(row, request.token)
                .map_err(Error::doing("read a claimed delivery"))?
            {
                Claimed::Delivery(delivery) => claim.deliveries.push(*delivery),
                Claimed::Reached(reached, expired) => {
                    claim.reached.push(reached);
                    claim.expired = expired;
                }
                Claimed::Version(endpoint, version) => {
                    versions.insert(endpoint, version);
                }
            }
        }
        for delivery in &mut claim.deliveries {
            delivery.endpoint_version = delivery
                .endpoint_id
                .and_then(|endpoint| versions.get(&endpoint).copied());
        }
        Ok(claim)
    }
}

/// One row of a claim's answer.
enum Claimed {
    Delivery(Box<Delivery>),
    /// And the leases that had expired, in all windows together.
    Reached(Reached, u64),
    /// An endpoint of these deliveries, and its version.
    Version(i64, i64),
}

/// Reads one row, by position: this runs for every delivery.
fn read_claimed(row: &PgRow, token: i64) -> Result<Claimed, sqlx::Error> {
    let Some(id) = row.try_get::<Option<i64>, _>(0)? else {
        if let Some(version) = row.try_get(24)? {
            return Ok(Claimed::Version(row.try_get(9)?, version));
        }
        let entry: i64 = row.try_get(19)?;
        let reached = Reached {
            window: usize::try_from(entry - 1).unwrap_or(usize::MAX),
            rows: row.try_get(20)?,
            end: Position {
                at: row.try_get(21)?,
                id: row.try_get(22)?,
            },
        };
        let expired: i64 = row.try_get(23)?;
        return Ok(Claimed::Reached(reached, expired.unsigned_abs()));
    };
    let payload: &[u8] = row.try_get(4)?;
    let event: Option<i64> = row.try_get(10)?;
    let nonce: Option<i32> = row.try_get(11)?;
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
        endpoint_id: row.try_get(9)?,
        event_id: match (event, nonce) {
            // The same text as postrider.event_id(), to_hex() of a negative integer included.
            (Some(event), Some(nonce)) => format!("evt_{event}_{nonce:x}"),
            _ => format!("row-{id}"),
        },
        occurred_at: row.try_get(12)?,
        crashes: u32::try_from(row.try_get::<i32, _>(13)?).unwrap_or(0),
        age: seconds(row.try_get(14)?).unwrap_or_default(),
        since_first_attempt: seconds(row.try_get(15)?),
        endpoint_version: None,
        lane: row.try_get(16)?,
        sender: row.try_get(17)?,
        is_again: row.try_get(18)?,
    })))
}
