//! The one who reads, and those who wait to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::notice::read;
use super::waiting::Waiting;
use crate::causes::Causes;
use crate::db::duties::Duty;
use crate::db::ingest::{IngestItem, IngestReader, Ingested};
use crate::db::notices::{Notice, NoticeSource, Notices};
use crate::db::{Database, Error};
use crate::metrics::Metrics;

/// How long the duty stays ours without a sign of life.
const DUTY_TTL: Duration = Duration::from_secs(6);
/// How often we give one, or look whether the duty is free.
const DUTY_INTERVAL: Duration = Duration::from_secs(2);
/// How long a word to ourselves may take to arrive.
const ECHO_MAX: Duration = Duration::from_secs(5);
/// Notifications in one transaction.
const BATCH_MAX: usize = 500;
/// The first wait after a failure.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What readers tell one another: who holds the duty of which topic, and what happened.
#[derive(Debug, PartialEq, Eq)]
enum Aside<'a> {
    /// So many were taken.
    Taken { holder: &'a str, count: usize },
    /// The duty is free.
    Free,
    /// A word to oneself.
    Echo { holder: &'a str },
}

/// The ingest role.
#[derive(Debug)]
pub struct Ingest {
    /// To emit with.
    database: Database,
    /// To hear with.
    source: NoticeSource,
    /// Counts.
    metrics: Arc<Metrics>,
    /// This process, for the duty.
    holder: String,
    /// The duty: one for each topic.
    duty: String,
}

/// What changes while it runs.
#[derive(Debug, Default)]
struct State {
    /// Heard and not done.
    waiting: Waiting,
    /// Whether the duty is ours.
    holds: bool,
}

/// Why listening ended.
#[derive(Debug)]
enum Ended {
    /// We were told to stop.
    Stopped,
    /// Something broke.
    Broke(Error),
    /// What we say does not come back to us.
    Deaf,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Broke(error)
    }
}

impl Ingest {
    /// An ingest for a topic. `holder` names this process among all others.
    pub fn new(
        database: Database,
        source: NoticeSource,
        metrics: Arc<Metrics>,
        holder: &str,
    ) -> Self {
        let duty = format!("ingest {}", source.topic());
        Self {
            database,
            source,
            metrics,
            // Read back out of words separated by spaces.
            holder: holder.replace(' ', "_"),
            duty,
        }
    }

    /// Runs until it is told to stop; then it emits what it has and leaves the duty to another.
    pub async fn run(self, stop: CancellationToken) {
        let mut state = State::default();
        let mut failures = 0_u32;
        loop {
            let started = Instant::now();
            let ended = match self.listen(&mut state, &stop).await {
                Err(ended) => ended,
                Ok(()) => Ended::Stopped,
            };
            // Also where listening broke: what is said from now on, only another one hears.
            if state.holds {
                self.hand_over(&mut state).await;
            }
            state.waiting.clear();
            if matches!(ended, Ended::Stopped) {
                return;
            }
            if started.elapsed() > RETRY_MAX {
                failures = 0;
            }
            self.report(&ended, failures);
            let wait = (RETRY_FIRST * 2_u32.pow(failures.min(10))).min(RETRY_MAX);
            failures += 1;
            let wait = wait.mul_f64(rand::random_range(0.5..1.0));
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// From connecting until something ends it.
    async fn listen(&self, state: &mut State, stop: &CancellationToken) -> Result<(), Ended> {
        let mut notices = self.source.connect().await?;
        // Whether a pooler in between keeps what is said from us is better known at once.
        self.echo(&mut notices, state).await?;
        let mut ticks = interval(DUTY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_work = state.holds && !state.waiting.is_empty();
            let has_batch = state.holds && state.waiting.len() >= BATCH_MAX;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {
                    notices.touch().await?;
                    self.see_to_duty(&mut notices, state).await?;
                }
                () = std::future::ready(()), if has_batch => self.emit(state).await?,
                notice = notices.next() => {
                    if self.hear(notice?, state) == Some(Aside::Free) && !state.holds {
                        ticks.reset_immediately();
                    }
                }
                // When nothing more has arrived: what came during the last batch is the next one.
                () = std::future::ready(()), if has_work => self.emit(state).await?,
            }
        }
    }

    /// Takes or renews the duty.
    async fn see_to_duty(&self, notices: &mut Notices, state: &mut State) -> Result<(), Ended> {
        let held = std::mem::replace(&mut state.holds, false);
        let holds = Duty::hold(&self.database, &self.duty, &self.holder, DUTY_TTL).await?;
        if holds && !held {
            // The former holder's words come before ours: when we hear ours, what we still have is not done.
            self.echo(notices, state).await?;
            tracing::info!(
                ingest.topic = self.source.topic(),
                "ingesting notifications"
            );
        }
        state.holds = holds;
        Ok(())
    }

    /// Says a word and hears everything up to it.
    async fn echo(&self, notices: &mut Notices, state: &mut State) -> Result<(), Ended> {
        let echo = Aside::Echo {
            holder: &self.holder,
        };
        self.database.tell_readers(&self.aside(&echo)).await?;
        let deadline = Instant::now() + ECHO_MAX;
        loop {
            let Ok(notice) = timeout_at(deadline, notices.next()).await else {
                return Err(Ended::Deaf);
            };
            if self.hear(notice?, state)
                == Some(Aside::Echo {
                    holder: &self.holder,
                })
            {
                return Ok(());
            }
        }
    }

    /// Keeps what was said, and heeds what other readers say.
    fn hear(&self, notice: Notice, state: &mut State) -> Option<Aside<'_>> {
        match notice {
            Notice::Said(payload) => {
                if !state.waiting.push(payload) && state.holds {
                    tracing::error!(
                        "notifications come faster than events can be written: the oldest are dropped"
                    );
                }
                None
            }
            Notice::Aside(words) => match self.heed(&words)? {
                Aside::Taken { holder, count } => {
                    if holder != self.holder {
                        state.waiting.others_took(count);
                    }
                    None
                }
                Aside::Free => Some(Aside::Free),
                Aside::Echo { holder } => (holder == self.holder).then_some(Aside::Echo {
                    holder: &self.holder,
                }),
            },
        }
    }

    /// One batch.
    async fn emit(&self, state: &mut State) -> Result<(), Ended> {
        let oldest = state.waiting.oldest(BATCH_MAX);
        let batch: Vec<IngestItem> = oldest.map(|payload| read(payload.clone())).collect();
        let taken = Aside::Taken {
            holder: &self.holder,
            count: batch.len() + state.waiting.dropped(),
        };
        let reader = IngestReader {
            duty: &self.duty,
            holder: &self.holder,
            aside: &self.aside(&taken),
        };
        match self.database.ingest(reader, &batch).await? {
            Ingested::Done { events, rejected } => {
                state.waiting.forget(batch.len());
                state.waiting.told();
                self.metrics.event.ingested.increment(events as u64);
                self.metrics.event.malformed.increment(rejected as u64);
                if rejected > 0 {
                    tracing::warn!(
                        ingest.rejected = rejected,
                        "notifications that are not events; see postrider.rejected_notifications"
                    );
                }
            }
            Ingested::NotOurs => {
                tracing::info!("another process ingests now");
                state.holds = false;
            }
        }
        Ok(())
    }

    /// Emits what is left and gives the duty up. Where the database is away, the duty ends by itself.
    async fn hand_over(&self, state: &mut State) {
        while state.holds && !state.waiting.is_empty() {
            if self.emit(state).await.is_err() {
                return;
            }
        }
        state.holds = false;
        let free = self.aside(&Aside::Free);
        let freed = async {
            Duty::release(&self.database, &self.duty, &self.holder).await?;
            self.database.tell_readers(&free).await
        };
        drop(freed.await);
    }

    /// In words: the topic comes last, for it may contain spaces.
    fn aside(&self, aside: &Aside<'_>) -> String {
        let topic = self.source.topic();
        match aside {
            Aside::Taken { holder, count } => format!("taken {holder} {count} {topic}"),
            Aside::Free => format!("free - 0 {topic}"),
            Aside::Echo { holder } => format!("echo {holder} 0 {topic}"),
        }
    }

    /// Out of words; none when they are about another topic.
    fn heed<'a>(&self, words: &'a str) -> Option<Aside<'a>> {
        let mut parts = words.splitn(4, ' ');
        let (verb, holder) = (parts.next()?, parts.next()?);
        let count = parts.next()?.parse().ok()?;
        if parts.next()? != self.source.topic() {
            return None;
        }
        match verb {
            "taken" => Some(Aside::Taken { holder, count }),
            "free" => Some(Aside::Free),
            "echo" => Some(Aside::Echo { holder }),
            _ => None,
        }
    }

    /// Says what broke, once for each time it worked.
    fn report(&self, ended: &Ended, failures: u32) {
        if failures > 0 {
            return;
        }
        match ended {
            Ended::Stopped => {}
            Ended::Deaf => tracing::warn!(
                ingest.topic = self.source.topic(),
                "notifications do not arrive, probably because a pooler in transaction mode is in between; set \
                 database.direct_url to a connection past it"
            ),
            Ended::Broke(error) => tracing::warn!(
                ingest.topic = self.source.topic(),
                error = %Causes(error),
                "the ingest lost its connection and tries again"
            ),
        }
    }
}
