//! All instances that a key reaches, on one socket: a feed for each, and for each that is made while it is open.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::close::Close;
use super::super::connection::Peer;
use super::super::doors::profile;
use super::super::filter::Filter;
use super::super::flavor::Flavor;
use super::super::sidecar::Sidecar;
use super::{Feed, Sink};
use crate::causes::Causes;
use crate::db::tail::{Cursor, Origin};
use crate::dialect::Dialect;
use crate::model::Reach;

/// From one look for new instances to the next.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Instances of one page.
const PAGE: i64 = 1000;

/// All that a key reaches.
#[derive(Debug)]
pub(in crate::realtime) struct Everything {
    sidecar: Arc<Sidecar>,
    reach: Reach,
    peer: Peer,
    flavor: Flavor,
    known: HashSet<i64>,
    /// Where the log was before we last looked: what is not known has no events before it.
    position: Option<Cursor>,
    /// Begun, and not run yet.
    feeds: Vec<Feed>,
}

impl Everything {
    /// Begins with the present. It has been admitted.
    pub(in crate::realtime) async fn begin(
        sidecar: &Arc<Sidecar>,
        reach: Reach,
        (peer, flavor): (Peer, Flavor),
    ) -> Result<Self, Close> {
        let mut everything = Self {
            sidecar: Arc::clone(sidecar),
            reach,
            peer,
            flavor,
            known: HashSet::new(),
            position: None,
            feeds: Vec::new(),
        };
        everything.look().await?;
        Ok(everything)
    }

    /// Begins feeds of instances that are not known yet.
    async fn look(&mut self) -> Result<(), Close> {
        let position = self.sidecar.present().await?;
        let origin = self.position.clone().map(Origin::Cursor);
        let mut after = 0;
        loop {
            let page = self
                .sidecar
                .database
                .instances_within(self.reach, after, PAGE);
            let page = page.await.map_err(|error| {
                tracing::warn!(error = %Causes(&error), "instances cannot be listed for a socket");
                Close::Unavailable
            })?;
            for instance in &page {
                if self.known.contains(&instance.id) {
                    continue;
                }
                let filter = Filter::new(Dialect::Evolution, Vec::new());
                let feed = Feed::begin(
                    &self.sidecar,
                    (profile(&self.sidecar, instance), filter),
                    (self.peer.clone(), self.flavor),
                    origin.as_ref(),
                );
                self.feeds.push(feed.await?);
                self.known.insert(instance.id);
            }
            match page.last() {
                Some(last) if page.len() == usize::try_from(PAGE).unwrap_or(usize::MAX) => {
                    after = last.id;
                }
                _ => break,
            }
        }
        self.position = Some(position);
        Ok(())
    }

    /// Feeds a socket until it is gone.
    pub(in crate::realtime) async fn run(mut self, sink: Sink) {
        loop {
            for feed in self.feeds.drain(..) {
                let running = feed.run(sink.clone());
                self.sidecar.tasks.spawn("socket feed", running);
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = sink.gone.cancelled() => return,
            }
            if self.look().await.is_err() {
                tracing::debug!("instances that are new are looked for again in a moment");
            }
        }
    }
}
