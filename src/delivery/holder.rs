//! Sets aside what is due for endpoints that are paused or disabled. Held is the endpoint's state, not the row's: the rows stay
//! pending, due again in an hour, or as soon as maintenance finds the endpoint enabled.

use std::sync::Arc;
use std::time::Duration;

use crate::db::queue::{Due, GivingBack};
use crate::db::{Database, Error};
use crate::metrics::{Metrics, ReturnReason};
use crate::model::Lease;

/// When held rows are looked at again, should nobody release them.
const AGAIN: Duration = Duration::from_hours(1);

/// Sets rows aside.
pub(super) struct Holder {
    pub(super) database: Database,
    pub(super) metrics: Arc<Metrics>,
}

impl Holder {
    /// Gives back these claimed rows, each with its endpoint, and sets aside what else is due for those endpoints. Answers with
    /// those that somebody has locked.
    pub(super) async fn hold(&self, claimed: &[(Lease, i64)]) -> Result<Vec<GivingBack>, Error> {
        let mut endpoints: Vec<i64> = claimed.iter().map(|(_, endpoint)| *endpoint).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        // First the mark, then the rows: whatever is set aside after the mark will be released.
        self.database.mark_held(&endpoints).await?;
        let leases: Vec<_> = claimed
            .iter()
            .map(|(lease, _)| (*lease, Due::SetAside(AGAIN)))
            .collect();
        let locked = self.database.give_back(&leases).await?.locked;
        self.metrics
            .lease
            .returns
            .of(ReturnReason::Held)
            .increment(claimed.len() as u64);
        for endpoint in endpoints {
            self.database.hold(endpoint, AGAIN).await?;
        }
        Ok(locked)
    }
}
