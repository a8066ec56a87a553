//! Writes outcomes. There is no timer: each statement takes whatever arrived while the one before it ran.
//!
//! On an error of the database the batch is kept and tried again, for as long as the leases can be kept; a completion that
//! comes too late changes nothing, because it names a token that is no longer the row's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::dispatch::Dispatch;
use crate::causes::Causes;
use crate::db::{Database, Error, answered};
use crate::metrics::Metrics;
use crate::model::{Attempt, Lease, Outcome, Resolution};

/// Outcomes written by one statement.
pub const BATCH_MAX: usize = 1000;
/// The pause after an error, and before rows that others had locked are tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The completer of one worker.
pub(super) struct Completer {
    pub(super) database: Database,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) worker: String,
    pub(super) alarm: Arc<Alarm>,
}

impl Completer {
    /// Runs until all senders are gone and everything is written, or until told to drop it.
    pub(super) async fn run(
        self,
        mut finished: mpsc::UnboundedReceiver<Attempt>,
        hard: CancellationToken,
    ) {
        let mut batch: Vec<Attempt> = Vec::with_capacity(BATCH_MAX);
        loop {
            let room = BATCH_MAX.saturating_sub(batch.len());
            if batch.is_empty() {
                if finished.recv_many(&mut batch, BATCH_MAX).await == 0 {
                    return;
                }
            } else {
                // What is left over waits a moment, and takes along what comes meanwhile.
                tokio::select! { () = tokio::time::sleep(PAUSE) => {}, () = hard.cancelled() => {} }
                while batch.len() < BATCH_MAX
                    && let Ok(attempt) = finished.try_recv()
                {
                    batch.push(attempt);
                }
            }
            debug_assert!(room <= BATCH_MAX, "a batch is bounded");
            batch = self.flush_all(batch).await;
            if hard.is_cancelled() {
                return;
            }
        }
    }

    /// Writes a batch; answers with what is left for the next time.
    ///
    /// Where the database takes none of it, and is well otherwise, some outcome in it is at fault: it is looked for by
    /// halves, so that it does not keep the others from being written.
    async fn flush_all(&self, batch: Vec<Attempt>) -> Vec<Attempt> {
        let mut left = Vec::new();
        // Each part is taken out once, and put back as two halves or as one that was changed: so this ends.
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.flush(part).await {
                Ok(locked) => left.extend(locked),
                Err((mut kept, error)) if error.is_transient() => {
                    self.report(&error, kept.len());
                    left.append(&mut kept);
                    // The rest would fare no better now.
                    left.extend(parts.drain(..).flatten());
                }
                Err((mut kept, error)) if kept.len() > 1 => {
                    tracing::debug!(error = %Causes(&error), "an outcome among these is at fault");
                    parts.push(kept.split_off(kept.len() / 2));
                    parts.push(kept);
                }
                Err((kept, error)) => {
                    self.report(&error, kept.len());
                    for attempt in kept {
                        match without_its_words(attempt, &error) {
                            Ok(plain) => parts.push(vec![plain]),
                            // Its lease runs out, and the row is tried again, and buried when that goes on.
                            Err(lease) => self.dispatch.settled([lease]),
                        }
                    }
                }
            }
        }
        left
    }

    /// Says what the database said.
    fn report(&self, error: &Error, outcomes: usize) {
        self.database.heed(error);
        tracing::warn!(error = %Causes(error), outcomes, "cannot write outcomes; they are kept and tried again");
        self.metrics.database.errors.of(error.into()).increment(1);
    }

    /// Writes a batch; answers with what could not be written because somebody else had it locked.
    async fn flush(&self, batch: Vec<Attempt>) -> Result<Vec<Attempt>, (Vec<Attempt>, Error)> {
        let started = Instant::now();
        let written = match answered(self.write(&batch)).await {
            Ok(written) => written,
            Err(error) => return Err((batch, error)),
        };
        self.metrics
            .lease
            .completion_duration_seconds
            .record(started.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        self.metrics
            .lease
            .completion_batch_rows
            .record(batch.len() as f64);
        for attempt in &batch {
            if let Resolution::Retry { wait, .. } = attempt.resolution {
                self.alarm.set(wait);
            }
        }
        let written: HashSet<i64> = written.into_iter().collect();
        let (done, open): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|attempt| written.contains(&attempt.lease.delivery));
        self.dispatch
            .settled(done.iter().map(|attempt| attempt.lease));
        if open.is_empty() {
            return Ok(open);
        }
        let leases: Vec<Lease> = open.iter().map(|attempt| attempt.lease).collect();
        let ours: HashSet<i64> = match answered(self.database.still_leased(&leases)).await {
            Ok(ours) => ours.into_iter().collect(),
            Err(error) => return Err((open, error)),
        };
        let (locked, fenced): (Vec<_>, Vec<_>) = open
            .into_iter()
            .partition(|attempt| ours.contains(&attempt.lease.delivery));
        self.metrics
            .lease
            .completions_fenced
            .increment(fenced.len() as u64);
        self.dispatch
            .settled(fenced.iter().map(|attempt| attempt.lease));
        Ok(locked)
    }

    /// The statements of one batch.
    async fn write(&self, batch: &[Attempt]) -> Result<Vec<i64>, Error> {
        let stale: Vec<i64> = batch
            .iter()
            .filter(|attempt| attempt.url_is_stale)
            .map(|attempt| attempt.lease.delivery)
            .collect();
        if !stale.is_empty() {
            self.database.refresh_urls(&stale).await?;
        }
        let written = self.database.complete(batch, &self.worker).await?;
        let dead: HashSet<i64> = batch
            .iter()
            .filter(|attempt| attempt.resolution == Resolution::Failed)
            .map(|attempt| attempt.lease.delivery)
            .collect();
        if !dead.is_empty() {
            let dead: Vec<i64> = written
                .iter()
                .copied()
                .filter(|delivery| dead.contains(delivery))
                .collect();
            if let Some(first) = dead.first() {
                tracing::warn!(
                    deliveries = dead.len(),
                    first.delivery.id = first,
                    "deliveries have failed for good; they are dead letters now (`postrider queue dead`)"
                );
            }
            // The delivery is where it belongs; that nobody could be told must not undo that.
            if let Err(error) = self.database.announce_exhausted(&dead).await {
                tracing::warn!(error = %Causes(&error), "cannot emit postrider.delivery.exhausted");
            }
        }
        Ok(written)
    }
}

/// The same outcome, without whatever the receiver said: that is what a database may refuse. Where nothing of it is left to
/// leave out, the lease.
fn without_its_words(attempt: Attempt, error: &Error) -> Result<Attempt, Lease> {
    /// What is written instead.
    const UNWRITABLE: &str = "what the receiver answered could not be written";
    if attempt.note.as_deref() == Some(UNWRITABLE) {
        return Err(attempt.lease);
    }
    let mut plain = attempt;
    plain.note = Some(UNWRITABLE.to_owned());
    match &mut plain.outcome {
        Outcome::Delivered(receipt) => receipt.response.clear(),
        Outcome::Failed(failure) => {
            failure.response.clear();
            failure.detail = Causes(error).to_string();
        }
    }
    Ok(plain)
}
