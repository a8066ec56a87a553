//! Whether those who are connected still may be: a token may be revoked or expire, an instance be deleted, and another
//! process may have taken over a consumer. Asked for all of them together, so that many cost what a few do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::connection::Connection;
use super::evolution::NOWHERE;
use super::sidecar::Sidecar;
use crate::causes::Causes;
use crate::crypto::token::TokenDigest;
use crate::db::Error;
use crate::db::consumers::Consumer;

/// From asking to asking: for so long may a revoked token still be connected.
const INTERVAL: Duration = Duration::from_secs(2);

/// Asks again and again. What the database does not answer is asked the next time: nobody is cut because it is away.
pub(super) async fn run(sidecar: Arc<Sidecar>, end: CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = end.cancelled() => return,
        }
        let everybody = sidecar.hub.everybody();
        if everybody.is_empty() {
            continue;
        }
        if let Err(error) = recheck(&sidecar, &everybody).await {
            tracing::debug!(error = %Causes(&error), "who is connected could not be checked again");
        }
    }
}

/// Closes those who may be connected no more.
async fn recheck(sidecar: &Sidecar, everybody: &[Arc<Connection>]) -> Result<(), Error> {
    let instances: HashSet<i64> = everybody.iter().map(|one| one.topic.instance).collect();
    let instances: Vec<i64> = instances.into_iter().collect();
    let present = sidecar.database.present_instances(&instances).await?;
    let tokens: HashSet<TokenDigest> = everybody.iter().filter_map(|one| one.peer.digest).collect();
    let tokens: Vec<TokenDigest> = tokens.into_iter().collect();
    let good = if tokens.is_empty() {
        HashSet::new()
    } else {
        sidecar.database.good_tokens(&tokens).await?
    };
    for connection in everybody {
        let digest = connection.peer.digest;
        let instance = connection.topic.instance;
        if instance != NOWHERE && !present.contains(&instance) {
            connection.close(Close::NoInstance);
        } else if digest.is_some_and(|digest| !good.contains(&digest)) {
            connection.close(Close::Unauthorized);
        }
    }
    let held: HashMap<Consumer, u64> = sidecar.acks.held().into_iter().collect();
    if !held.is_empty() {
        let consumers: Vec<&Consumer> = held.keys().collect();
        let replaced = sidecar.database.replaced_consumers(&consumers).await?;
        for (consumer, connection) in held {
            if replaced.contains(&(consumer.instance, consumer.name)) {
                sidecar.hub.close(connection, Close::Replaced);
            }
        }
    }
    Ok(())
}
