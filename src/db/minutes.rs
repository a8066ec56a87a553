//! Minutes as the database counts them, for whoever tells when the next one begins.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::Database;

/// How long the database's clock is carried on by ours.
const CARRIED_FOR: Duration = Duration::from_mins(10);

/// What time it is in the database, asked now and then.
#[derive(Debug, Default)]
pub struct Minutes(Mutex<Option<(OffsetDateTime, Instant)>>);

impl Minutes {
    /// When the next minute begins there, in Unix seconds; none where the database does not say.
    pub async fn next(&self, database: &Database) -> Option<i64> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.filter(|(_, asked_at)| asked_at.elapsed() < CARRIED_FOR);
        let (then, asked_at) = if let Some(known) = fresh {
            known
        } else {
            let known = (database.now().await.ok()?, Instant::now());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
            known
        };
        let now = (then + asked_at.elapsed()).unix_timestamp();
        Some(now - now.rem_euclid(60) + 60)
    }
}
