//! The realtime sidecar: every event on a socket, and nothing lost on reconnect.
//!
//! ```text
//!  event log ──tail──▶ follow ──step──▶ hub: a ring for each instance ──told──▶ writers ──frames──▶ sockets
//!   (db::tail)                           ▲                                                           │
//!                                        └──attach, resume── doors ◀──────────── requests ───────────┘
//! ```
//!
//! [`start`] makes a [`Sidecar`] and its router. A door looks at a request, finds out who asks and what for, and makes an
//! [`Opening`] of it; `session::serve` (a WebSocket) or `Hub::connect` with `connection::Outlet::Pulled` (anything
//! that writes by itself) serves it.
//!
//! # A new door
//!
//! 1. A [`Flavor`] for each form of frame it sends, made from an event, a profile and a cursor.
//! 2. A file in `doors/` that turns its request into an [`Opening`], and a line in `doors::router`.
//! 3. Where clients send something: an arm where `session` takes a text.
//! 4. Where they acknowledge event by event: a subscription taken from `claims`, whose `ledger` goes with the [`Opening`].
//!
//! # Guarantees
//!
//! A connection is given every event of its instance that its filter wants, in the order of the log, from where it began until
//! it is closed; never one twice; and every event carries, where the protocol has a place for it, the cursor to go on from.
//! One that cannot be given the next event is closed with a code that says why. Nothing waits for a slow one.

mod acks;
mod claims;
pub mod close;
pub mod connection;
mod doors;
mod evolution;
pub mod filter;
pub mod flavor;
mod follow;
pub mod hub;
mod ledger;
mod lookups;
pub mod opening;
mod pages;
mod protocol;
mod pulse;
mod recheck;
mod replay;
mod roster;
pub mod session;
pub mod sidecar;
pub mod topic;
mod vzaps;
pub mod wire;
mod writers;

pub use flavor::Flavor;
pub use hub::Hub;
pub use opening::Opening;
pub use pulse::Heartbeat;
pub use sidecar::Sidecar;

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use axum::Router;
use rand::seq::SliceRandom;
use tokio::time::sleep;

use crate::config::{Config, ConfiguredTokens};
use crate::crypto::Keyring;
use crate::db::doorbell::Doorbell;
use crate::db::tail::Tail;
use crate::db::{Database, Minutes, Route};
use crate::lifecycle::Tasks;
use crate::metrics::Metrics;
use crate::readiness::Condition;

use self::close::Close;
use self::follow::Follow;
use self::hub::Bounds;

/// Writers gain nothing beyond this.
const WRITERS_MAX: usize = 8;
/// What each connection adds to the time over which all are closed.
const DRAIN_EACH: Duration = Duration::from_millis(2);

/// What the role is made from.
#[derive(Debug)]
pub struct Equipment {
    /// For look-ups.
    pub database: Database,
    /// For the tail's own connection.
    pub route: Route,
    /// Wakes the tail.
    pub doorbell: Doorbell,
    /// Opens the tokens of instances.
    pub keyring: Arc<Keyring>,
    /// How clients reach the API.
    pub public_url: String,
    /// To spawn with.
    pub tasks: Tasks,
    /// To count with.
    pub metrics: Arc<Metrics>,
    /// Met while the log is followed.
    pub ready: Condition,
}

/// Starts the role.
pub fn start(config: &Config, equipment: Equipment) -> (Arc<Sidecar>, Router) {
    let settings = &config.realtime;
    let bounds = Bounds {
        behind_max: settings.behind_max,
        ring_bytes_max: settings.ring_bytes_max,
        ring_events_max: settings.ring_events_max,
        connections_max: settings.connections_max,
        connections_per_instance_max: settings.connections_per_instance_max,
        connections_per_token_max: settings.connections_per_token_max,
        accepts_per_second_max: settings.accepts_per_second_max,
    };
    let writers = available_parallelism()
        .map_or(1, usize::from)
        .min(WRITERS_MAX);
    let hub = Hub::new(bounds, writers, equipment.metrics);
    let sidecar = Arc::new(Sidecar {
        hub: Arc::clone(&hub),
        database: equipment.database,
        keyring: equipment.keyring,
        tasks: equipment.tasks,
        public_url: equipment.public_url,
        shows_token: config.evolution.expose_token,
        global_events: config.evolution.websocket_global_events,
        origins: settings.origins.clone(),
        configured: ConfiguredTokens::of(&config.api),
        compression: settings.compression,
        inbound_bytes_max: settings.inbound_bytes_max,
        name: format!("{:016x}", rand::random::<u64>()),
        acks: acks::Acks::default(),
        claims: claims::Claims::default(),
        pages: pages::Pages::default(),
        tokens: lookups::Lookups::default(),
        instances: lookups::Lookups::default(),
        filters: lookups::Lookups::default(),
        directory: evolution::Directory::default(),
        minutes: Minutes::default(),
        clock: Arc::default(),
    });
    let heartbeat = Heartbeat {
        ping: settings.ping,
        dead: settings.dead,
    };
    run(&sidecar, heartbeat, config.worker.drain);
    let follow = Follow {
        hub,
        tail: Tail::new(equipment.route),
        database: sidecar.database.clone(),
        ready: equipment.ready,
        linger: settings.linger,
        progress: follow::Progress::default(),
    };
    let tasks = &sidecar.tasks;
    tasks.serve("tail", follow.run(equipment.doorbell, tasks.hard().clone()));
    let router = doors::router(&sidecar);
    (sidecar, router)
}

/// Spawns what serves the connections. All of it lives through the drain.
fn run(sidecar: &Arc<Sidecar>, heartbeat: Heartbeat, drain_max: Duration) {
    let tasks = &sidecar.tasks;
    for number in 0..sidecar.hub.writers.count() {
        let (hub, end) = (Arc::clone(&sidecar.hub), tasks.hard().clone());
        tasks.serve("socket writer", async move {
            hub.writers.run(number, end).await;
        });
    }
    let (hub, clock) = (Arc::clone(&sidecar.hub), Arc::clone(&sidecar.clock));
    tasks.serve(
        "socket pulse",
        pulse::run(hub, clock, heartbeat, tasks.hard().clone()),
    );
    let (acking, end) = (Arc::clone(sidecar), tasks.hard().clone());
    tasks.serve("socket acks", acks::run(acking, end));
    let rechecking = recheck::run(Arc::clone(sidecar), tasks.hard().clone());
    tasks.serve("socket recheck", rechecking);
    let (telling, end) = (Arc::clone(sidecar), tasks.hard().clone());
    tasks.serve("socket roster", roster::run(telling, end));
    tasks.serve(
        "socket directory",
        evolution::keep_directory(Arc::clone(sidecar), tasks.hard().clone()),
    );
    tasks.serve(
        "socket filters",
        evolution::keep_filters(Arc::clone(sidecar), tasks.hard().clone()),
    );
    let draining = Arc::clone(sidecar);
    tasks.spawn(
        "socket drain",
        async move { drain(&draining, drain_max).await },
    );
}

/// When the process is to end: nobody is let in any more, and those who are in are asked, in a random order and not all at
/// once, to go to another one.
async fn drain(sidecar: &Sidecar, within: Duration) {
    sidecar.tasks.soft().cancelled().await;
    sidecar.hub.draining.cancel();
    let mut everybody = sidecar.hub.everybody();
    // They go with the socket that they are parts of.
    everybody.retain(|connection| !connection.is_part());
    everybody.shuffle(&mut rand::rng());
    let count = u32::try_from(everybody.len()).unwrap_or(u32::MAX).max(1);
    let pause = (within.mul_f64(0.8) / count).min(DRAIN_EACH);
    for connection in everybody {
        connection.close(Close::Restart);
        tokio::select! {
            () = sleep(pause) => {}
            () = sidecar.tasks.hard().cancelled() => return,
        }
    }
}
