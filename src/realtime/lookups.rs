//! What was looked up a moment ago is not looked up again: thousands who come back at once, with one token and to one
//! instance, cost a query and not one each.
//!
//! Only what was found is kept. A revoked token is believed for at most [`GOOD_FOR`] so; who came in meanwhile is found by
//! `recheck`.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How long an answer is believed.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// More than this within that time are looked up each time.
const KEPT_MAX: usize = 10_000;

/// When it was asked for, and the answer, which others wait for.
type Asked<V> = (Instant, Arc<OnceCell<V>>);

/// Answers by what was asked.
#[derive(Debug)]
pub(super) struct Lookups<K, V>(Mutex<HashMap<K, Asked<V>>>);

impl<K, V> Default for Lookups<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Lookups<K, V> {
    /// The answer: a recent one, or what `ask` says. Of many who want the same at once, one asks.
    pub(super) async fn get<E>(
        &self,
        key: K,
        ask: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let cell = self.cell(key.clone());
        let answer = cell.get_or_try_init(|| ask).await.cloned();
        if answer.is_err() {
            self.forget(&key, &cell);
        }
        answer
    }

    /// Keeps nothing of what was not found; unless it was meanwhile.
    fn forget(&self, key: &K, cell: &Arc<OnceCell<V>>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kept)) = known.get(key)
            && Arc::ptr_eq(kept, cell)
            && !cell.initialized()
        {
            known.remove(key);
        }
    }

    /// Where the answer is, or will be.
    fn cell(&self, key: K) -> Arc<OnceCell<V>> {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked_at, cell)) = known.get(&key)
            && now.duration_since(*asked_at) < GOOD_FOR
        {
            return Arc::clone(cell);
        }
        if known.len() >= KEPT_MAX {
            known.retain(|_, (asked_at, _)| now.duration_since(*asked_at) < GOOD_FOR);
        }
        let cell = Arc::default();
        if known.len() < KEPT_MAX {
            known.insert(key, (now, Arc::clone(&cell)));
        }
        cell
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_ask_once_and_later_ones_anew() {
        let lookups = Lookups::default();
        let asked = AtomicU32::new(0);
        let ask = async || {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, ()>(asked.fetch_add(1, Ordering::Relaxed))
        };
        let both = tokio::join!(lookups.get("a", ask()), lookups.get("a", ask()));
        assert_eq!(both, (Ok(0), Ok(0)));
        assert_eq!(lookups.get("b", ask()).await, Ok(1));
        tokio::time::advance(GOOD_FOR).await;
        assert_eq!(lookups.get("a", ask()).await, Ok(2));
    }

    #[tokio::test]
    async fn what_was_not_found_is_asked_for_again() {
        let lookups = Lookups::default();
        let nothing = lookups.get("a", async { Err::<u32, _>("nothing") }).await;
        assert_eq!(nothing, Err("nothing"));
        assert!(lookups.0.lock().unwrap().is_empty());
        assert_eq!(lookups.get("a", async { Ok::<_, ()>(1) }).await, Ok(1));
    }
}
