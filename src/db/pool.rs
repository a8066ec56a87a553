//! Connections, with the settings that our statements rely on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use tokio::time::Instant;

use super::Error;

/// What a connection is for; it is the end of its `application_name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Claims, completions and maintenance.
    Worker,
    /// NOTIFY into events.
    Ingest,
    /// HTTP.
    Api,
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
            Self::Command => "command",
        }
    }
}

/// A pool of connections to the database that holds the queue.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    distrusted_at: Arc<Mutex<Option<Instant>>>,
}

impl Database {
    /// Opens a pool. Nothing is connected until it is needed.
    ///
    /// Our statements are few, known and shaped to their indexes, so the planner is held to them: generic plans, no
    /// sequential scans, and no JIT (with it a claim took 100 ms). Timeouts bound what a stuck server can hold up.
    pub fn open(options: PgConnectOptions, purpose: Purpose, connections_max: u32) -> Self {
        let settings = [
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "60s"),
            ("lock_timeout", "10s"),
        ];
        let options = options
            .application_name(&format!("postrider {}", purpose.as_str()))
            .options(
                if purpose == Purpose::Worker {
                    &settings[..]
                } else {
                    &settings[2..]
                }
                .iter()
                .copied(),
            );
        let distrusted_at: Arc<Mutex<Option<Instant>>> = Arc::default();
        let asked = Arc::clone(&distrusted_at);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(move |_, connection| {
                let distrusted_at = *asked.lock().unwrap_or_else(PoisonError::into_inner);
                let trusted = distrusted_at.is_none_or(|at| connection.age < at.elapsed());
                Box::pin(async move { Ok(trusted) })
            })
            .connect_lazy_with(options);
        Self {
            pool,
            distrusted_at,
        }
    }

    /// Draws the consequences of an error for the connections. One that may only read was made while the server was being
    /// replaced, or leads to the one that was: all that are open are closed as their turn comes, and made anew.
    pub fn heed(&self, error: &Error) {
        if error.is_read_only() {
            let mut distrusted_at = self
                .distrusted_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *distrusted_at = Some(Instant::now());
        }
    }

    /// For the modules of this layer.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// One round trip.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("select 1")
            .execute(&self.pool)
            .await
            .map_err(Error::doing("reach the database"))?;
        Ok(())
    }

    /// What time it is there.
    pub async fn now(&self) -> Result<time::OffsetDateTime, Error> {
        sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&self.pool)
            .await
            .map_err(Error::doing("ask the database for the time"))
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
