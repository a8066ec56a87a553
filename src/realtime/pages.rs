//! Pages of the log that many want at once are read once: after a restart thousands come back with the same cursor, and a
//! query for each would be what they wait for.
//!
//! A page lies between two snapshots that have passed, so it is the same for everybody and at any time. It is kept for as long
//! as anybody still sends from it; the last few are kept for whoever comes a moment later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

use super::replay::Broken;
use crate::db::Database;
use crate::db::tail::{Cursor, Page};

/// Forgotten pages are looked for when there are so many.
const KNOWN_MAX: usize = 1024;

/// A page that somebody has read, or is reading.
pub(super) type Shared = OnceCell<Page>;

/// How many pages are kept although nobody sends from them.
const KEPT_MAX: usize = 4;

/// By instance and cursor.
#[derive(Debug, Default)]
pub(super) struct Pages(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    pages: HashMap<(i64, String), Weak<Shared>>,
    latest: VecDeque<Arc<Shared>>,
}

impl Pages {
    /// The page after a cursor, of an instance: of its stretch, what `after` sees and `before` does not.
    pub(super) async fn read(
        &self,
        database: &Database,
        instance: i64,
        from: &Cursor,
    ) -> Result<Arc<Shared>, Broken> {
        let page = self.place((instance, from.to_string()));
        page.get_or_try_init(|| async {
            let read = database.missed(from, Some(instance)).await;
            read.map_err(Broken::Away)?.map_err(|_| Broken::Gap)
        })
        .await?;
        Ok(page)
    }

    /// Where the page is, or will be.
    fn place(&self, key: (i64, String)) -> Arc<Shared> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = known.pages.get(&key).and_then(Weak::upgrade) {
            return page;
        }
        if known.pages.len() >= KNOWN_MAX {
            known.pages.retain(|_, page| page.strong_count() > 0);
        }
        let page = Arc::default();
        known.pages.insert(key, Arc::downgrade(&page));
        known.latest.truncate(KEPT_MAX - 1);
        known.latest.push_front(Arc::clone(&page));
        page
    }
}
