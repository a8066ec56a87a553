//! What the sockets of Evolution API have in common, whether they speak Socket.IO or not.
//!
//! A socket of one instance hears what `POST /websocket/set/:instance` says, also when that changes while it is open; where it
//! says nothing, or that it is off, it stays open and hears nothing, as in the original. In global mode a socket without an
//! instance hears everything that its key reaches: of one instance, or of all of an account. Also then it is one connection:
//! what feeds it with each instance is a part of it.

mod directory;
mod everything;
mod feed;
mod line;
mod outage;
mod presence;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(super) use directory::{Directory, keep_directory};
pub(super) use everything::Everything;
pub(super) use feed::{Feed, Outflow, Sink};
pub(super) use line::{HangUp, Line, Lines};
pub(super) use presence::Presence;

use self::outage::Outage;
use super::filter::Filter;
use super::sidecar::Sidecar;
use crate::causes::Causes;
use crate::db::Error;
use crate::dialect::Dialect;

/// What a socket follows that is fed with many instances: no instance has this key.
pub(super) const NOWHERE: i64 = 0;

/// From one look to the next: at the configuration of instances, and for new ones.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What an instance wants on its sockets at present, or wanted a moment ago, where others have asked.
pub(super) async fn configured(sidecar: &Sidecar, instance: i64) -> Result<Filter, Error> {
    let ask = async {
        let on = sidecar.database.evolution_sockets(&[instance]).await?;
        let events = on.into_iter().next_back().map(|(_, events)| events);
        Ok(Filter::configured(Dialect::Evolution, events))
    };
    sidecar.filters.get(instance, ask).await
}

/// Lets the filters of open sockets follow the configuration: one query for all of them.
pub(super) async fn keep_filters(sidecar: Arc<Sidecar>, end: CancellationToken) {
    let mut outage = Outage::default();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = end.cancelled() => return,
        }
        let mut followers = sidecar.hub.everybody();
        followers.retain(|connection| connection.filter().is_configured());
        if followers.is_empty() {
            continue;
        }
        let instances: BTreeSet<i64> = followers.iter().map(|one| one.topic.instance).collect();
        let instances: Vec<i64> = instances.into_iter().collect();
        let on: HashMap<i64, Vec<String>> =
            match sidecar.database.evolution_sockets(&instances).await {
                Ok(on) => on.into_iter().collect(),
                Err(error) => {
                    let kept = "open sockets keep their filters: the configuration cannot be read";
                    outage.goes_on(&Causes(&error), kept);
                    continue;
                }
            };
        outage.over("the configuration of open sockets can be read again");
        for connection in followers {
            let events = on.get(&connection.topic.instance).cloned();
            let filter = Filter::configured(Dialect::Evolution, events);
            if *connection.filter() != filter {
                connection.set_filter(Arc::new(filter));
            }
        }
    }
}
