//! Carries what attempts tell of endpoints into the database: failing, recovered, asked to be paused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dispatch::{Happening, News};
use crate::causes::Causes;
use crate::db::{Database, Error, answered};
use crate::metrics::Metrics;

/// Failing endpoints of which the log has been told that are remembered; beyond it some are told of twice.
const TOLD_MAX: usize = 10_000;

/// Writes the news, one by one: they are few.
pub(super) struct Reporter {
    pub(super) database: Database,
    pub(super) metrics: Arc<Metrics>,
    pub(super) auto_disable: Option<Duration>,
}

impl Reporter {
    /// Runs until all senders are gone.
    pub(super) async fn run(
        self,
        mut news: mpsc::UnboundedReceiver<News>,
        hard: CancellationToken,
    ) {
        let mut told = HashSet::new();
        loop {
            let item = tokio::select! {
                item = news.recv() => item,
                () = hard.cancelled() => return,
            };
            let Some(item) = item else { return };
            tell(&item, &mut told);
            if let Err(error) = answered(self.report(&item)).await {
                tracing::warn!(
                    endpoint.id = item.endpoint,
                    error = %Causes(&error),
                    "cannot note how an endpoint does; its next failure will be noted"
                );
                self.metrics
                    .database
                    .errors
                    .of((&error).into())
                    .increment(1);
            }
        }
    }

    async fn report(&self, item: &News) -> Result<(), Error> {
        let endpoint = item.endpoint;
        match &item.what {
            Happening::Failing(why) => {
                if self
                    .database
                    .endpoint_failed(endpoint, why, self.auto_disable)
                    .await?
                {
                    tracing::warn!(
                        endpoint.id = endpoint,
                        "endpoint paused: it failed for days without a break; its deliveries are held"
                    );
                }
            }
            Happening::Recovered => self.database.endpoint_recovered(endpoint).await?,
            Happening::AskedToPause(why) => {
                if self.database.endpoint_asked_to_pause(endpoint, why).await? {
                    tracing::warn!(
                        endpoint.id = endpoint,
                        why,
                        "endpoint paused at its own request; its deliveries are held"
                    );
                }
            }
        }
        Ok(())
    }
}

/// Tells the log when an endpoint begins to fail and when it answers again, not of each failure.
fn tell(item: &News, told: &mut HashSet<i64>) {
    let endpoint = item.endpoint;
    match &item.what {
        Happening::Failing(why) => {
            if told.len() >= TOLD_MAX {
                told.clear();
            }
            if told.insert(endpoint) {
                tracing::warn!(
                    endpoint.id = endpoint,
                    why,
                    "an endpoint fails; deliveries to it are tried again by its schedule"
                );
            }
        }
        Happening::Recovered => {
            if told.remove(&endpoint) {
                tracing::info!(endpoint.id = endpoint, "an endpoint answers again");
            }
        }
        Happening::AskedToPause(_) => {}
    }
}
