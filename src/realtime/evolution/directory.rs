//! The instances of the accounts that global sockets hear: listed once for all of these sockets, and not at all while there
//! are none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::super::close::Close;
use super::super::sidecar::Sidecar;
use super::{LOOK_EVERY, Outage};
use crate::causes::Causes;
use crate::db::administration::Instance;
use crate::db::tail::Cursor;

/// Accounts that are heard.
#[derive(Debug, Default)]
pub(in crate::realtime) struct Directory(Mutex<HashMap<i64, Weak<Account>>>);

/// An account, for as long as a socket holds it.
#[derive(Debug)]
pub(super) struct Account {
    id: i64,
    /// Whoever is the first asks; those who come meanwhile wait for the answer.
    first: OnceCell<()>,
    latest: watch::Sender<Arc<Listing>>,
}

/// What an account had.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// When it was begun, and where the log was then: what is not listed has no events before it.
    pub(super) begun: Option<(Instant, Cursor)>,
    pub(super) instances: Vec<Arc<Instance>>,
}

impl Directory {
    /// An account that is to be heard.
    pub(super) fn account(&self, id: i64) -> Arc<Account> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accounts.get(&id).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let account = Arc::new(Account {
                id,
                first: OnceCell::new(),
                latest: watch::Sender::default(),
            });
            accounts.insert(id, Arc::downgrade(&account));
            account
        })
    }

    /// Those that somebody still hears.
    fn heard(&self) -> Vec<Arc<Account>> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, account| account.strong_count() > 0);
        accounts.values().filter_map(Weak::upgrade).collect()
    }
}

impl Account {
    /// Its listings: the latest, which may be a moment old, and those that follow.
    pub(super) async fn listings(
        self: &Arc<Self>,
        sidecar: &Sidecar,
    ) -> Result<watch::Receiver<Arc<Listing>>, Close> {
        let first = self.first.get_or_try_init(|| async {
            let this = std::slice::from_ref(self);
            list(sidecar, this).await.map_err(|problem| {
                tracing::warn!(error = %problem, "a connection is refused: its instances cannot be listed");
                Close::Unavailable
            })
        });
        first.await?;
        Ok(self.latest.subscribe())
    }
}

/// Lists again and again: one query for all accounts that are heard.
pub(in crate::realtime) async fn keep_directory(sidecar: Arc<Sidecar>, end: CancellationToken) {
    let mut outage = Outage::default();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while end.run_until_cancelled(ticks.tick()).await.is_some() {
        let accounts = sidecar.directory.heard();
        if accounts.is_empty() {
            continue;
        }
        match end.run_until_cancelled(list(&sidecar, &accounts)).await {
            None => return,
            Some(Ok(())) => outage.over("instances are listed for global sockets again"),
            Some(Err(problem)) => outage.goes_on(
                &problem,
                "instances cannot be listed for global sockets: those that are made meanwhile are heard later",
            ),
        }
    }
}

/// Lists the instances of accounts. An error is why that cannot be.
async fn list(sidecar: &Sidecar, accounts: &[Arc<Account>]) -> Result<(), String> {
    let begun = Instant::now();
    let position = sidecar.present().await;
    let position = position.map_err(|close| close.reason().to_owned())?;
    let ids: Vec<i64> = accounts.iter().map(|account| account.id).collect();
    let found = sidecar.database.instances_of(&ids).await;
    let found = found.map_err(|error| {
        sidecar.database.heed(&error);
        Causes(&error).to_string()
    })?;
    let mut instances: HashMap<i64, Vec<Arc<Instance>>> = HashMap::new();
    for instance in found {
        let of_account = instances.entry(instance.account_id).or_default();
        of_account.push(Arc::new(instance));
    }
    for account in accounts {
        account.latest.send_replace(Arc::new(Listing {
            begun: Some((begun, position.clone())),
            instances: instances.remove(&account.id).unwrap_or_default(),
        }));
    }
    Ok(())
}
