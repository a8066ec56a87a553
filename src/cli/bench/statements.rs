//! The same SQL without requests: claim, completion and attempt log, in the batches of a worker.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::channels::{Outcome, Receipt, Verdict};
use crate::db::Database;
use crate::db::queue::ClaimRequest;
use crate::delivery::{COMPLETION_BATCH_MAX, Lanes, Looked};
use crate::model::{Attempt, Delivery, Resolution};

/// As a worker's.
const LEASE: Duration = Duration::from_secs(90);
/// As a worker's.
const OVERLAP: Duration = Duration::from_millis(100);

/// What a run showed beside its duration.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// The duration of each claim that brought something, in milliseconds.
    pub claims_ms: Vec<f64>,
}

/// Takes so many deliveries through the queue, `batch` at a time. One claims while another completes, as in a worker.
pub(super) async fn run(database: &Database, deliveries: u64, batch: usize) -> anyhow::Result<Ran> {
    let (claimed, mut to_complete) = mpsc::channel::<Vec<Delivery>>(2);
    let claiming = async {
        let mut ran = Ran::default();
        let mut lanes = Lanes::new();
        let mut left = deliveries;
        while left > 0 {
            let started = Instant::now();
            let deliveries = claim(database, &mut lanes, batch).await?;
            if deliveries.is_empty() {
                continue;
            }
            ran.claims_ms.push(started.elapsed().as_secs_f64() * 1e3);
            left = left.saturating_sub(deliveries.len() as u64);
            if claimed.send(deliveries).await.is_err() {
                break;
            }
        }
        drop(claimed);
        anyhow::Ok(ran)
    };
    let completing = async {
        while let Some(first) = to_complete.recv().await {
            let mut attempts: Vec<Attempt> = first.iter().map(delivered).collect();
            while attempts.len() + batch <= COMPLETION_BATCH_MAX
                && let Ok(more) = to_complete.try_recv()
            {
                attempts.extend(more.iter().map(delivered));
            }
            database.complete(&attempts, "bench").await?;
        }
        anyhow::Ok(())
    };
    let (ran, ()) = tokio::try_join!(claiming, completing)?;
    Ok(ran)
}

/// One claim.
async fn claim(
    database: &Database,
    lanes: &mut Lanes,
    batch: usize,
) -> anyhow::Result<Vec<Delivery>> {
    let now = Instant::now();
    // As a worker does: a backlog is swept.
    let plan = match lanes.sweep(batch, now) {
        Some(plan) => plan,
        None => lanes.fresh(batch, now),
    };
    let claim = database
        .claim(&ClaimRequest {
            windows: &plan.windows,
            busy: &[],
            overlap: OVERLAP,
            lease: LEASE,
            token: rand::random(),
        })
        .await?;
    lanes.found(&plan, &Looked::of(&claim, now.elapsed()), Instant::now());
    Ok(claim.deliveries)
}

/// As if it had been delivered.
fn delivered(delivery: &Delivery) -> Attempt {
    Attempt {
        lease: delivery.lease,
        url_is_stale: false,
        note: None,
        duration: Duration::from_millis(1),
        outcome: Outcome::Delivered(Receipt {
            status: Some(200),
            response: Bytes::new(),
            verdict: Verdict::None,
        }),
        resolution: Resolution::Delivered,
    }
}
