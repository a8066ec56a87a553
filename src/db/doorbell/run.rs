//! The bell's life: connect, look for a pooler, turn; when something breaks, poll and try again.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cycle::Cycle;
use super::ears::Ears;
use super::lock::Lock;
use super::probe::{Verdict, probe};
use super::shared::Shared;
use super::window::Window;
use super::{Doorbell, Hearing};

/// The first wait before connecting again.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// The longest.
const RECONNECT_MAX: Duration = Duration::from_secs(10);
/// How long to go on polling before looking whether the pooler is still there.
const PROBE_AGAIN: Duration = Duration::from_mins(1);

/// Why the bell is not turning.
#[derive(Debug)]
enum Trouble {
    /// Connecting failed, or a connection broke.
    Lost(sqlx::Error),
    /// LISTEN or locks do not work this way.
    Unusable(Verdict),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Lost(error)
    }
}

/// What is known about the connection; it says each thing once.
#[derive(Debug, Default)]
struct Health {
    /// Failures since it last worked.
    failures: u32,
    /// That it is bad has been said.
    said: bool,
}

impl Doorbell {
    /// Runs the bell until it is told to stop. Nothing that happens to the database ends it.
    pub async fn run(&self, stop: CancellationToken) {
        stop.run_until_cancelled(Box::pin(self.run_for_ever()))
            .await;
        // Whoever still polls does so by the floor.
        self.shared.doze();
    }

    /// The same, without an end.
    async fn run_for_ever(&self) {
        let mut work = self.shared.works();
        if self.shared.settings.polling_only {
            self.shared.set_hearing(Hearing::Polling);
            return poll_for_ever(&self.shared, &mut work).await;
        }
        let mut health = Health::default();
        loop {
            while !self.shared.has_listeners() {
                // Each new listener is heard here. We hold the sender, so waiting cannot fail.
                drop(work.changed().await);
            }
            let trouble = tokio::select! {
                Err(trouble) = self.connected(&mut work, &mut health) => trouble,
                // Its connections are closed: no writer rings for nobody.
                () = self.shared.is_deserted() => {
                    self.shared.doze();
                    self.shared.set_hearing(Hearing::NotYet);
                    continue;
                }
            };
            self.shared.doze();
            self.shared.set_hearing(match trouble {
                Trouble::Lost(_) => Hearing::NotYet,
                Trouble::Unusable(_) => Hearing::Polling,
            });
            let wait = health.bad(&trouble, self.shared.settings.floor_poll);
            drop(timeout(wait, poll_for_ever(&self.shared, &mut work)).await);
        }
    }

    /// From connecting to losing the connection.
    async fn connected(
        &self,
        work: &mut watch::Receiver<u64>,
        health: &mut Health,
    ) -> Result<Infallible, Trouble> {
        let (ears, lock) = connect(&self.options).await?;
        health.good();
        self.shared.set_hearing(Hearing::Rings);
        let settings = &self.shared.settings;
        let mut cycle = Cycle {
            ears,
            lock,
            shared: &self.shared,
            work,
            window: Window::new(settings.awake_min, settings.awake_max),
        };
        Ok(cycle.turn_for_ever().await?)
    }
}

/// Both connections, known to be our own.
async fn connect(options: &PgConnectOptions) -> Result<(Ears, Lock), Trouble> {
    let (mut ears, mut lock) = tokio::try_join!(Ears::connect(options), Lock::connect(options))?;
    match probe(&mut ears, &mut lock).await? {
        Verdict::Direct => {}
        verdict => return Err(Trouble::Unusable(verdict)),
    }
    lock.prepare().await?;
    ears.listen().await?;
    Ok((ears, lock))
}

/// Without rings: awake for a while after whatever the floor poll found.
async fn poll_for_ever(shared: &Shared, work: &mut watch::Receiver<u64>) {
    loop {
        // We hold the sender, so waiting cannot fail.
        drop(work.changed().await);
        shared.wake();
        while timeout(shared.settings.awake_min, work.changed())
            .await
            .is_ok()
        {}
        shared.doze();
    }
}

impl Health {
    /// It works.
    fn good(&mut self) {
        if self.said {
            tracing::info!("the doorbell works again");
        } else {
            tracing::debug!("the doorbell is connected");
        }
        *self = Self::default();
    }

    /// It does not. Says so, and for how long to leave it.
    fn bad(&mut self, trouble: &Trouble, floor_poll: Duration) -> Duration {
        let poll_ms = floor_poll.as_millis();
        let first = !std::mem::replace(&mut self.said, true);
        let wait = match trouble {
            Trouble::Unusable(verdict) => {
                if first {
                    tracing::warn!(
                        poll.ms = poll_ms,
                        ?verdict,
                        "LISTEN does not work on this connection, probably because a pooler in transaction mode is in \
                         between: polling instead. Set database.direct_url to a connection past the pooler, or \
                         doorbell.enabled = false to silence this"
                    );
                }
                PROBE_AGAIN
            }
            Trouble::Lost(error) => {
                if first {
                    tracing::warn!(poll.ms = poll_ms, %error, "the doorbell lost its connection: polling until it is back");
                }
                let doublings = self.failures.min(10);
                self.failures += 1;
                (RECONNECT_FIRST * 2_u32.pow(doublings)).min(RECONNECT_MAX)
            }
        };
        // Not all processes at the same moment.
        wait.mul_f64(rand::random_range(0.5..1.0))
    }
}
