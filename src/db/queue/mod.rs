//! The queue: claim, complete, return, extend, hold, release. The statements are in `sql/queue/`, one a file.

mod claim;
mod complete;

use std::collections::HashSet;
use std::time::Duration;

use super::{Database, Error};
use crate::model::Lease;

pub use claim::{Claim, ClaimRequest, LANES, Position, Reached, Window};
pub(super) use complete::storable;

/// Rows set aside or released by one statement, as it stands in `hold.sql` and `release.sql`.
pub const HELD_BATCH: u64 = 5000;

/// When a delivery that is given back is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// When it was.
    AsItWas,
    /// After a wait.
    After(Duration),
    /// After a wait, or when what is set aside for its target is released.
    SetAside(Duration),
}

impl Due {
    /// The wait (s).
    fn wait_s(self) -> Option<f64> {
        match self {
            Self::AsItWas => None,
            Self::After(wait) | Self::SetAside(wait) => Some(wait.as_secs_f64()),
        }
    }
}

/// A delivery to be given back.
pub type GivingBack = (Lease, Due);

/// What became of deliveries that were given back.
#[derive(Debug, Default)]
pub struct GivenBack {
    /// How many are anybody's now.
    pub returned: usize,
    /// Those that somebody had locked: they are still ours, to be given back again.
    pub locked: Vec<GivingBack>,
}

impl Database {
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
        let returned: Vec<i64> = sqlx::query_scalar(include_str!("../../../sql/queue/return.sql"))
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
                    .map(|(_, due)| due.wait_s())
                    .collect::<Vec<_>>(),
            )
            .bind(
                leases
                    .iter()
                    .map(|(_, due)| matches!(due, Due::SetAside(_)))
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
        sqlx::query_scalar(include_str!("../../../sql/queue/extend.sql"))
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
            let done = sqlx::query(include_str!("../../../sql/queue/hold.sql"))
                .bind(lane)
                .bind(target)
                .bind(wait.as_secs_f64())
                .persistent(false)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(done.rows_affected())
        };
        // Boxed: rare, and large beside the claims that it stands in line with.
        Box::pin(held)
            .await
            .map_err(Error::doing("hold deliveries"))
    }

    /// Makes due again what was set aside for a target. Answers with how many, at most [`HELD_BATCH`].
    pub async fn release(&self, target: i64) -> Result<u64, Error> {
        let lane = self.lane_of(target).await?;
        let done = sqlx::query(include_str!("../../../sql/queue/release.sql"))
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
