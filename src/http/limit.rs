//! How often a token may come, counted in Postgres so that it holds over all processes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::api::Api;
use super::fault::{Fault, Kind};
use super::manner::{ALLOWANCE, Manner, likest, write_allowance};
use crate::db::Database;
use crate::model::Access;

/// How long the database's clock is carried on by ours.
const CARRIED_FOR: Duration = Duration::from_mins(10);

/// So many requests a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is counted together: requests of one token in one bucket.
    pub bucket: &'static str,
    /// How many are answered.
    pub per_minute: i32,
}

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The limit.
    pub limit: i32,
    /// What is left of it.
    pub remaining: i32,
    /// When it begins anew, in Unix seconds.
    pub resets_at: i64,
    /// Whether this request was within it.
    pub within: bool,
}

/// Counts one request of a token.
pub async fn count(api: &Api, access: &Access, limit: Limit) -> Result<Allowance, Fault> {
    let key = format!("{}:{}", limit.bucket, access.token);
    let (requests, resets_at) = api.database.count_request(&key).await?;
    Ok(Allowance {
        limit: limit.per_minute,
        remaining: (limit.per_minute - requests).max(0),
        resets_at: resets_at.unix_timestamp(),
        within: requests <= limit.per_minute,
    })
}

/// What time it is in the database, asked now and then.
#[derive(Debug, Default)]
pub struct Minutes(Mutex<Option<(OffsetDateTime, Instant)>>);

impl Minutes {
    /// When the next minute begins there, in Unix seconds; none where the database does not say.
    async fn next(&self, database: &Database) -> Option<i64> {
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

/// Writes `X-RateLimit-*` also on responses to which nobody was counted, for nobody had a good token: the limit is whole then.
pub(super) async fn tell_limit(
    manners: &'static [&'static Manner],
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    let manner = likest(manners, request.uri().path());
    let limit = manner.and_then(|manner| (manner.limit)(request.method(), request.uri()));
    let mut response = next.run(request).await;
    let Some(limit) = limit.filter(|_| !response.headers().contains_key(ALLOWANCE)) else {
        return response;
    };
    if let Some(resets_at) = api.minutes.next(&api.database).await {
        let whole = Allowance {
            limit: limit.per_minute,
            remaining: limit.per_minute,
            resets_at,
            within: true,
        };
        write_allowance(response.headers_mut(), whole);
    }
    response
}

/// The fault of one too many.
pub fn exceeded() -> Fault {
    Fault::new(
        Kind::TooMany,
        "rate_limited",
        "Rate limit exceeded. Try again later.",
    )
}
