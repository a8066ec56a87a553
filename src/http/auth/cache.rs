//! Tokens that were good a moment ago are not asked for again: a read of configuration costs one query, not two.
//!
//! A revoked token stays good for at most [`GOOD_FOR`] in other processes, and not at all in the one that revoked it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::crypto::token::TokenDigest;
use crate::model::Access;

/// How long an answer of the database is believed.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(1);

/// More tokens than this within a second are asked for each time.
const TOKENS_MAX: usize = 10_000;

/// By digest, what tokens were good for and until when that is believed.
#[derive(Debug, Default)]
pub struct TokenCache {
    known: Mutex<HashMap<TokenDigest, (Access, Instant)>>,
    generation: AtomicU64,
}

impl TokenCache {
    /// What a token is good for, if that was asked within the last second.
    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Access> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (access, until) = known.get(digest)?;
        (Instant::now() < *until).then(|| access.clone())
    }

    /// Rises with every revocation: an answer that was asked for before one must not be kept after it.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Believes the database's answer for a second.
    pub(super) fn keep(&self, digest: TokenDigest, access: Access, asked_in: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if known.len() >= TOKENS_MAX {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() < TOKENS_MAX && self.generation() == asked_in {
            known.insert(digest, (access, now + GOOD_FOR));
        }
    }

    /// Forgets everything: a token was revoked, or what it reaches is gone.
    pub fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation.fetch_add(1, Ordering::AcqRel);
        known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reach;

    fn access() -> Access {
        Access {
            token: "one".into(),
            reach: Reach::DEFAULT_ACCOUNT,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_for_a_second() {
        let cache = TokenCache::default();
        cache.keep([1; 32], access(), cache.generation());
        assert_eq!(cache.get(&[1; 32]), Some(access()));
        assert_eq!(cache.get(&[2; 32]), None);
        tokio::time::advance(GOOD_FOR).await;
        assert_eq!(cache.get(&[1; 32]), None);
    }

    #[tokio::test]
    async fn an_answer_from_before_a_revocation_is_not_kept_after_it() {
        let cache = TokenCache::default();
        let asked_in = cache.generation();
        cache.forget();
        cache.keep([1; 32], access(), asked_in);
        assert_eq!(cache.get(&[1; 32]), None);
    }
}
