//! Tells the database who is connected here, and ends whom an operator wants ended.
//!
//! One statement a second while somebody is connected, whatever came and went; none while nobody is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::evolution::NOWHERE;
use super::sidecar::Sidecar;
use crate::causes::Causes;
use crate::db::Error;
use crate::db::connections::News;

/// From telling to telling.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often others that are gone are looked for.
const TIDY_EVERY: Duration = Duration::from_mins(1);

/// What has been told.
#[derive(Debug, Default)]
struct Roster {
    /// Numbers of the connections that the database has.
    told: HashSet<u64>,
    /// There is something of ours there.
    is_known: bool,
    tidied_at: Option<Instant>,
}

/// Tells until the end, and then that nobody is here.
pub(super) async fn run(sidecar: Arc<Sidecar>, end: CancellationToken) {
    let mut roster = Roster::default();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while end.run_until_cancelled(ticks.tick()).await.is_some() {
        let turn = end.run_until_cancelled(roster.turn(&sidecar)).await;
        if let Some(Err(error)) = turn {
            tracing::debug!(error = %Causes(&error), "who is connected could not be told; trying again");
        }
    }
    if roster.is_known {
        // The others find out by themselves.
        drop(sidecar.database.forget_sidecar(&sidecar.name).await);
    }
}

impl Roster {
    /// Once.
    async fn turn(&mut self, sidecar: &Sidecar) -> Result<(), Error> {
        let here: HashMap<u64, Arc<Connection>> = sidecar
            .hub
            .everybody()
            .into_iter()
            .filter(|connection| !connection.is_part())
            .map(|connection| (connection.id, connection))
            .collect();
        let database = &sidecar.database;
        if here.is_empty() && self.told.is_empty() {
            if std::mem::take(&mut self.is_known) {
                database.forget_sidecar(&sidecar.name).await?;
            }
            return Ok(());
        }
        let news = self.news(&here);
        // If it fails half-way, what was told is told again: that changes nothing.
        self.is_known = true;
        let told = database.tell_connections(&sidecar.name, &news).await?;
        if told.is_new {
            // At first, and after a crash, which empties the table.
            self.told.clear();
        } else {
            for number in &news.gone {
                self.told.remove(&number.cast_unsigned());
            }
        }
        let new = news.numbers.iter();
        self.told.extend(new.map(|number| number.cast_unsigned()));
        for number in told.kicked {
            sidecar.hub.kick(number.cast_unsigned());
        }
        if self.tidied_at.is_none_or(|at| at.elapsed() > TIDY_EVERY) {
            self.tidied_at = Some(Instant::now());
            database.forget_sidecar("").await?;
        }
        Ok(())
    }

    /// Who came and who left.
    fn news(&self, here: &HashMap<u64, Arc<Connection>>) -> News {
        let mut news = News::default();
        let gone = self.told.iter().filter(|number| !here.contains_key(number));
        news.gone = gone.map(|number| number.cast_signed()).collect();
        for connection in here.values() {
            if self.told.contains(&connection.id) {
                continue;
            }
            let peer = &connection.peer;
            news.numbers.push(connection.id.cast_signed());
            let instance = connection.topic.instance;
            news.accounts.push(peer.reach.account);
            news.instances
                .push((instance != NOWHERE).then_some(instance));
            news.doors.push(peer.door.to_owned());
            news.addresses
                .push(peer.address.map(|address| address.to_string()));
            news.tokens.push(peer.token.clone());
            news.ages.push(connection.since.elapsed().as_secs_f64());
        }
        news
    }
}
