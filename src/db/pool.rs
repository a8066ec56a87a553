//! Connections, with the settings that our statements rely on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use tokio::time::{Instant, timeout};

use super::Error;
use super::route::{Line, Route};
use super::statements::Statements;

/// What our connections are set to. Our statements are few, known and shaped to their indexes, so the planner is held to
/// them: generic plans, no sequential scans, and no JIT (with it a claim took 100 ms). Timeouts bound what a stuck server
/// can hold up.
const SETTINGS: [(&str, &str); 7] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("lock_timeout", "10s"),
    // What our statements are written for. Under another default they would fail one another, and the application.
    ("default_transaction_isolation", "read committed"),
];

/// A connection that has stood idle is asked for a sign of life before it is used. One that was cut without a word gives none,
/// and to wait for it would be to wait for the network's own patience.
const SIGN_OF_LIFE_MAX: Duration = Duration::from_secs(1);

/// What a connection is for; it is the end of its `application_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Claims, completions and maintenance.
    Worker,
    /// NOTIFY into events.
    Ingest,
    /// HTTP.
    Api,
    /// Sockets.
    Realtime,
    /// A person at the command line.
    Command,
}

impl Purpose {
    /// As it stands in `application_name`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Ingest => "ingest",
            Self::Api => "api",
            Self::Realtime => "realtime",
            Self::Command => "command",
        }
    }

    /// What its connections are set to. Only the worker's statements are all shaped to indexes.
    pub(super) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Worker | Self::Realtime => &SETTINGS,
            Self::Ingest | Self::Api | Self::Command => &SETTINGS[2..],
        }
    }

    /// How it connects where its settings are made at the door.
    pub(super) fn at_the_door(self, options: PgConnectOptions) -> PgConnectOptions {
        self.named(options).options(self.settings().iter().copied())
    }

    /// How it connects.
    fn named(self, options: PgConnectOptions) -> PgConnectOptions {
        options.application_name(&format!("postrider {}", self.as_str()))
    }
}

/// A pool of connections to the database that holds the queue.
#[derive(Debug, Clone)]
pub struct Database {
    statements: Statements,
    trust: Arc<Trust>,
}

/// Which connections of a pool are used again.
#[derive(Debug, Default)]
struct Trust {
    /// None that was made before.
    made_since: Mutex<Option<Instant>>,
    /// None that was used last before: another of that time is dead.
    used_since: Mutex<Option<Instant>>,
}

impl Trust {
    /// Whether an idle connection may be used.
    async fn earned(&self, connection: &mut PgConnection, known: PoolConnectionMetadata) -> bool {
        let since = |moment: &Mutex<Option<Instant>>| {
            let moment = *moment.lock().unwrap_or_else(PoisonError::into_inner);
            moment.map_or(Duration::MAX, |at| at.elapsed())
        };
        if known.age >= since(&self.made_since) || known.idle_for >= since(&self.used_since) {
            return false;
        }
        let asked_at = Instant::now();
        let answered = timeout(SIGN_OF_LIFE_MAX, connection.ping()).await;
        if answered.is_err() {
            // A cable leads to all of them: the others are not asked one after the other.
            set(&self.used_since, asked_at);
        }
        answered.is_ok_and(|answer| answer.is_ok())
    }
}

/// From now on it is this.
fn set(moment: &Mutex<Option<Instant>>, at: Instant) {
    *moment.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
}

impl Database {
    /// Opens a pool. Nothing is connected until it is needed.
    pub fn open(route: impl Into<Route>, purpose: Purpose, connections_max: u32) -> Self {
        let route = route.into();
        let options = match route.line {
            Line::Direct => purpose.at_the_door(route.options),
            Line::Guarded | Line::Pooled => purpose
                .named(route.options)
                // Poolers turn away who asks for what they do not know, and mix up what is prepared.
                .extra_float_digits(None)
                .statement_cache_capacity(0),
        };
        let trust = Arc::new(Trust::default());
        let asked = Arc::clone(&trust);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(Duration::from_secs(10))
            // The same, but it waits without end.
            .test_before_acquire(false)
            .before_acquire(move |connection, known| {
                let asked = Arc::clone(&asked);
                Box::pin(async move { Ok(asked.earned(connection, known).await) })
            })
            .connect_lazy_with(options);
        let statements = match route.line {
            Line::Direct => Statements::direct(pool),
            Line::Guarded | Line::Pooled => Statements::pooled(pool, purpose.settings()),
        };
        Self { statements, trust }
    }

    /// Draws the consequences of an error for the connections. One that may only read was made while the server was being
    /// replaced, or leads to the one that was: all that are open are closed as their turn comes, and made anew.
    pub fn heed(&self, error: &Error) {
        if error.is_read_only() {
            set(&self.trust.made_since, Instant::now());
        }
    }

    /// For the modules of this layer.
    pub(crate) fn pool(&self) -> &Statements {
        &self.statements
    }

    /// One round trip.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("select 1")
            .execute(self.pool())
            .await
            .map_err(Error::doing("reach the database"))?;
        Ok(())
    }

    /// What time it is there.
    pub async fn now(&self) -> Result<time::OffsetDateTime, Error> {
        sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(self.pool())
            .await
            .map_err(Error::doing("ask the database for the time"))
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        self.statements.pool().close().await;
    }
}
