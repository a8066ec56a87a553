//! How often a token may come, counted in Postgres so that it holds over all processes.

use super::api::Api;
use super::fault::{Fault, Kind};
use crate::model::Access;

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

/// The fault of one too many.
pub fn exceeded() -> Fault {
    Fault::new(
        Kind::TooMany,
        "rate_limited",
        "Rate limit exceeded. Try again later.",
    )
}
