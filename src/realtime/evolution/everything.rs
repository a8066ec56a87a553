//! All instances of an account, on one socket: a feed for each, and for each that is made while it is open.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::close::Close;
use super::super::connection::{Outlet, Peer};
use super::super::filter::Filter;
use super::super::flavor::Flavor;
use super::super::sidecar::{Place, Sidecar};
use super::directory::{Account, Listing};
use super::{Feed, Sink};
use crate::db::tail::{Cursor, Origin};
use crate::dialect::Dialect;

/// All that an account has.
#[derive(Debug)]
pub(in crate::realtime) struct Everything {
    sidecar: Arc<Sidecar>,
    peer: Peer,
    flavor: Flavor,
    /// Held, so that it is listed.
    _account: Arc<Account>,
    listings: watch::Receiver<Arc<Listing>>,
    known: HashSet<i64>,
    /// Where the log was, and when: it heard nothing before, and what is not known has no events before it.
    noted: (Instant, Cursor),
    /// Begun, and not run yet.
    feeds: Vec<Feed>,
}

impl Everything {
    /// Begins with the present. It has been admitted.
    pub(in crate::realtime) async fn begin(
        sidecar: &Arc<Sidecar>,
        (peer, flavor): (Peer, Flavor),
    ) -> Result<Self, Close> {
        let position = sidecar.present().await?;
        let noted = (Instant::now(), position);
        let account = sidecar.directory.account(peer.reach.account);
        let mut everything = Self {
            sidecar: Arc::clone(sidecar),
            listings: account.listings(sidecar).await?,
            peer,
            flavor,
            _account: account,
            known: HashSet::new(),
            noted,
            feeds: Vec::new(),
        };
        everything.take_in(Place::Present).await?;
        Ok(everything)
    }

    /// Begins feeds of instances that the latest listing has and that are not known yet.
    async fn take_in(&mut self, place: Place) -> Result<(), Close> {
        let listing = Arc::clone(&self.listings.borrow_and_update());
        for instance in &listing.instances {
            if self.known.contains(&instance.id) {
                continue;
            }
            let filter = Arc::new(Filter::new(Dialect::Evolution, Vec::new()));
            let connection = self.sidecar.hub.connect(
                self.sidecar.profile(instance),
                self.peer.clone(),
                self.flavor,
                (Outlet::Part, filter),
            );
            let feed = Feed::begin(&self.sidecar, connection, &place);
            self.feeds.push(feed.await?);
            self.known.insert(instance.id);
        }
        if let Some(begun) = &listing.begun
            && begun.0 > self.noted.0
        {
            self.noted = begun.clone();
        }
        Ok(())
    }

    /// Feeds a socket until it is gone.
    pub(in crate::realtime) async fn run(mut self, sink: Sink) {
        loop {
            for feed in self.feeds.drain(..) {
                let running = feed.run(sink.clone());
                self.sidecar.tasks.spawn("socket feed", running);
            }
            let listed = sink.gone.run_until_cancelled(self.listings.changed());
            // The account is held, and with it the sender.
            let Some(Ok(())) = listed.await else {
                return;
            };
            let place = Place::Noted(Origin::Cursor(self.noted.1.clone()));
            match self.take_in(place).await {
                // What a new instance had until now is gone, and there is no word for that here: whoever comes back begins anew.
                Err(Close::Expired) => return sink.end(Close::Expired),
                Err(_) => {
                    tracing::debug!("instances that are new are looked for again in a moment");
                }
                Ok(()) => {}
            }
        }
    }
}
