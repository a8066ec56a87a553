//! The end of a worker: what has not started goes back to the queue, what has is waited for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::dispatch::Dispatch;
use crate::causes::Causes;
use crate::db::queue::{Due, GivingBack};
use crate::db::{Database, Error};
use crate::metrics::{Metrics, ReturnReason};

/// Between two tries to give back what somebody has locked.
const RETURN_PAUSE: Duration = Duration::from_millis(100);

/// Gives back what was not started; what somebody has locked is tried until it is free. Answers with how many were returned.
async fn give_back(
    database: &Database,
    mut leases: Vec<GivingBack>,
    hard: &CancellationToken,
) -> Result<usize, Error> {
    let mut returned = 0;
    loop {
        let given = database.give_back(&leases).await?;
        returned += given.returned;
        if given.locked.is_empty() {
            return Ok(returned);
        }
        leases = given.locked;
        let pause = tokio::time::sleep(RETURN_PAUSE);
        if hard.run_until_cancelled(pause).await.is_none() {
            return Ok(returned);
        }
    }
}

/// Returns what has not started, and waits for what has; its leases are kept meanwhile.
pub(super) async fn drain(
    dispatch: &Dispatch,
    database: &Database,
    metrics: &Metrics,
    hard: &CancellationToken,
) {
    let mut waiting: Vec<_> = dispatch
        .close()
        .into_iter()
        .map(|lease| (lease, Due::AsItWas))
        .collect();
    waiting.extend(dispatch.take_returning());
    if !waiting.is_empty() {
        match give_back(database, waiting, hard).await {
            Ok(returned) => {
                tracing::info!(
                    deliveries = returned,
                    "returned deliveries that had not started"
                );
                metrics
                    .lease
                    .returns
                    .of(ReturnReason::Shutdown)
                    .increment(returned as u64);
            }
            Err(error) => tracing::warn!(
                error = %Causes(&error),
                "cannot return deliveries that had not started; their leases will expire"
            ),
        }
    }
    tokio::select! {
        () = dispatch.wait_until_idle() => {}
        () = hard.cancelled() => {
            let deliveries = dispatch.in_flight_count();
            if deliveries > 0 {
                tracing::warn!(deliveries, "given up while they were in flight; they are made again when their leases have expired");
            }
        }
    }
}
