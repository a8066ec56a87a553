//! How often a token may be used.

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

impl Limit {
    /// RyzeAPI's, of whatever has none of its own: its routes and its sockets count together.
    pub const RYZE: Self = Self {
        bucket: "ryze",
        per_minute: 100,
    };
}

impl Allowance {
    /// Of a token that has not been counted.
    pub fn whole(limit: Limit, resets_at: i64) -> Self {
        Self {
            limit: limit.per_minute,
            remaining: limit.per_minute,
            resets_at,
            within: true,
        }
    }

    /// As headers.
    pub fn headers(self) -> [(&'static str, i64); 3] {
        [
            ("x-ratelimit-limit", i64::from(self.limit)),
            ("x-ratelimit-remaining", i64::from(self.remaining)),
            ("x-ratelimit-reset", self.resets_at),
        ]
    }
}
