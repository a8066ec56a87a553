//! The doorbell: how a commit wakes whoever waits for it, without slowing the one who commits.
//!
//! `NOTIFY` takes a lock of the whole cluster from pre-commit until after the WAL flush, so an application that
//! notifies in every transaction commits one by one. Therefore writers notify only while somebody sleeps, and those who
//! listen stay awake, polling every few milliseconds, as long as there is something to do.
//!
//! Who sleeps is told by one advisory lock, here K. The writer's half is `postrider.ring()` (migration 3):
//!
//! > try K in shared mode for this transaction; where that fails, notify
//!
//! and ours is:
//!
//! > awake: poll every few milliseconds, until nothing came for a while; then LISTEN (we always do), *ask* for K in
//! > exclusive mode, poll once K is *granted*, and sleep until a ring; then give K back and be awake
//!
//! # Why no wake-up is lost
//!
//! Let W be a transaction that writes rows and commits; each statement of it that wrote some tried K *after* writing
//! them, and what a savepoint undoes it undoes together with that try. So W either holds K shared until its commit is
//! visible (Postgres makes a commit visible before it frees its locks), or it notifies at its commit. Let L be a
//! listener, in any process.
//!
//! 1. **W notifies.** L hears it, for LISTEN was set up before L ever asked, and a notification is delivered after the
//!    commit is visible. It polls and is awake.
//! 2. **W is silent and L is awake when W commits.** L polls within milliseconds, or before it sleeps (see 3).
//! 3. **W is silent and L has asked when W commits.** W's try succeeded, so it came before L's request stood in the
//!    queue: a waiting exclusive request is in conflict with new shared ones. An exclusive lock is granted only when
//!    every shared one is gone. So
//!    - *L is granted*: W's commit is visible by then, and L polls after it.
//!    - *another listener M is granted first, while L stands in the queue*: M cannot have had it at once, without
//!      waiting; so it tells the others to look (a notification of its own, which does not wake them).
//!    - *M was granted before L's request stood in the queue*: L polls once more when its request does stand there.
//!    - *nobody is granted for long*, because some transaction holds K shared for long. This is not sleep but drowsiness:
//!      L polls after 4, 8, 16 … ms, so that it finds W when W is twice as old at the latest, and then about once a
//!      second, with each new slice of its request.
//!
//! The request is made in slices of 900 ms because whoever waits for a lock holds a snapshot, and VACUUM and CREATE
//! INDEX CONCURRENTLY wait for old snapshots. Who *holds* K holds no snapshot. Between two slices a writer may slip in
//! silently; rule 3 covers it, for the polls come after each new request.
//!
//! That every subscriber polls after the grant needs no counting: a grant raises the round, and a subscriber whose last
//! poll belongs to an earlier round polls before it waits ([`Listener::turn`]). If it finds something, the bell is awake.
//!
//! # What if something breaks
//!
//! The floor poll is kept by each [`Listener`] on a timer of its own, so that it goes on whatever happens to the bell.
//! A process that stops or vanishes must not keep the bell ringing: the connection that holds K is ended by the server
//! when it is not touched for 10 s. Behind a pooler in transaction mode the lock would leak into a connection of
//! others, so it is looked for before the first lock is taken; there we poll, and say so once.

mod cycle;
mod ears;
mod listener;
mod lock;
mod probe;
mod run;
mod shared;
mod window;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::Error;
use crate::metrics::Metrics;

pub use listener::{Found, Listener};
pub use probe::Verdict;
use shared::Shared;

/// How the bell behaves.
#[derive(Debug, Clone)]
pub struct DoorbellSettings {
    /// The longest a subscriber waits between two polls.
    pub floor_poll: Duration,
    /// The shortest time awake after the last row.
    pub awake_min: Duration,
    /// The longest time awake after the last row.
    pub awake_max: Duration,
    /// From poll to poll while awake.
    pub awake_poll: Duration,
    /// True: no LISTEN and no lock, only polls.
    pub polling_only: bool,
}

impl Default for DoorbellSettings {
    fn default() -> Self {
        Self {
            floor_poll: Duration::from_secs(1),
            awake_min: Duration::from_millis(100),
            awake_max: Duration::from_secs(10),
            awake_poll: Duration::from_millis(4),
            polling_only: false,
        }
    }
}

/// Whether a bell hears rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It is not connected, yet or any more; it polls meanwhile.
    NotYet,
    /// It does.
    Rings,
    /// It cannot, on this connection, or it is not meant to: it polls.
    Polling,
}

/// The bell of this process. Clones share it; [`Doorbell::run`] runs it, once. It is connected only while it has listeners.
#[derive(Debug, Clone)]
pub struct Doorbell {
    /// What the bell and its listeners share.
    shared: Arc<Shared>,
    /// A way past every pooler.
    options: PgConnectOptions,
}

impl Doorbell {
    /// A bell at that database. `options` lead past any pooler in transaction mode. Nothing happens before it is run,
    /// but subscribers poll already.
    pub fn new(
        options: PgConnectOptions,
        settings: DoorbellSettings,
        metrics: Arc<Metrics>,
    ) -> Self {
        let options = options
            .application_name("postrider doorbell")
            // A pooler refuses it at the door, and then could not be told from a server that is down.
            .extra_float_digits(None);
        Self {
            shared: Arc::new(Shared::new(settings, metrics)),
            options,
        }
    }

    /// Someone to be told when to poll.
    pub fn subscribe(&self) -> Listener {
        Listener::new(Arc::clone(&self.shared))
    }

    /// Whether it hears rings now.
    pub fn hearing(&self) -> Hearing {
        self.shared.hearing()
    }

    /// Says that there is work about, though no poll of a subscriber found it.
    pub fn saw_work(&self) {
        self.shared.saw_work();
    }
}

/// What the way to the server is like, for a bell that would use it. Harmless, also behind a pooler.
pub async fn probe_line(options: &PgConnectOptions) -> Result<Verdict, Error> {
    let options = options
        .clone()
        .application_name("postrider doctor")
        .extra_float_digits(None);
    // Boxed: connecting is a large future.
    let probed = Box::pin(async {
        let mut ears = ears::Ears::connect(&options).await?;
        let mut lock = lock::Lock::connect(&options).await?;
        probe::probe(&mut ears, &mut lock).await
    });
    probed
        .await
        .map_err(Error::doing("listen for a notification of our own"))
}
