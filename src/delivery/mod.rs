//! The worker role: claims what is due, attempts it inside apalis, writes what came of it.
//!
//! ```text
//! doorbell -> claimer (what is newly due) -+
//!             sweeper (what was left) -----+-> dispatch -> apalis workers (one a core) -> completer -> webhook_queue, attempts
//!                                               ^  |                                        |
//!                                               |  +-> keeper (leases, what cannot start)   +-> reporter (endpoints that fail)
//!                                               +---------- finished --------------------- maintenance (one process at a time)
//! ```
//!
//! No transaction is open while a channel waits for the network: what is in flight is held by a lease. Everything here may be
//! killed at any moment; leases expire, and another worker tries again.

mod alarm;
mod breaker;
mod claimer;
mod completer;
mod dispatch;
mod drain;
mod handler;
mod health;
mod holder;
mod intake;
mod keeper;
mod lanes;
mod lookout;
mod maintenance;
mod media;
mod roster;
mod runtime;
mod sweeper;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::channels::{AnyChannel, MediaClient, WallClock};
use crate::config::{Config, Retention};
use crate::crypto::Keyring;
use crate::db::doorbell::Doorbell;
use crate::db::{Database, Error};
use crate::lifecycle::Tasks;
use crate::metrics::Metrics;
use crate::model::{Attempt, Schedule};

use alarm::Alarm;
use breaker::BreakerSettings;
use claimer::Claimer;
use completer::Completer;
use dispatch::{Dispatch, Limits};
use drain::drain;
use handler::{Handler, Ways};
use health::Reporter;
use holder::Holder;
use intake::Intake;
use keeper::Keeper;
use lookout::Lookout;
use maintenance::Maintenance;
use roster::Roster;
use sweeper::Sweeper;

pub use completer::BATCH_MAX as COMPLETION_BATCH_MAX;
pub use lanes::{Lanes, Looked, Plan};

/// What a worker goes by.
#[derive(Debug)]
pub struct Settings {
    /// Its name in the attempt log and as holder of duties, unique among processes.
    pub name: String,
    /// How long a claim holds.
    pub lease: Duration,
    /// Deliveries claimed at a time.
    pub claim_batch_max: usize,
    /// Attempts in flight.
    pub in_flight_max: u32,
    /// Attempts in flight for one target, where its endpoint says nothing else.
    pub in_flight_per_endpoint_max: u32,
    /// The breaker of each target.
    pub breaker: BreakerSettings,
    /// After so long an unbroken failure pauses an endpoint.
    pub auto_disable: Option<Duration>,
    /// What is kept for how long.
    pub retention: Retention,
    /// apalis workers.
    pub threads: usize,
    /// Whether this process takes part in maintenance.
    pub maintenance: bool,
}

impl Settings {
    /// As configured.
    pub fn from_config(config: &Config, name: String) -> Self {
        let worker = &config.worker;
        Self {
            name,
            lease: worker.lease,
            claim_batch_max: usize::try_from(worker.claim_batch_max).unwrap_or(500),
            in_flight_max: worker.in_flight_max,
            in_flight_per_endpoint_max: worker.in_flight_per_endpoint_max,
            breaker: BreakerSettings {
                failures_consecutive: worker.breaker.failures_consecutive,
                failures_share: worker.breaker.failures_share,
                window: worker.breaker.attempts_window,
                probe: worker.breaker.probe,
                probe_max: worker.breaker.probe_max,
            },
            auto_disable: worker.auto_disable,
            retention: config.retention.clone(),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            maintenance: true,
        }
    }
}

/// What a worker works with.
#[derive(Debug, Clone)]
pub struct Equipment {
    /// The queue.
    pub database: Database,
    /// Tells when to look.
    pub doorbell: Doorbell,
    /// Opens and seals secrets.
    pub keyring: Arc<Keyring>,
    /// The way out.
    pub webhook: Arc<dyn AnyChannel>,
    /// For media that endpoints want inside events; none where none is fetched.
    pub media: Option<MediaClient>,
    /// Kept right by the database's.
    pub clock: Arc<WallClock>,
    /// To count with.
    pub metrics: Arc<Metrics>,
}

/// Starts a worker. It ends in the order of the lifecycle: the first stage stops claiming, returns what has not started and
/// finishes what is in flight; the second drops it.
pub async fn start(settings: Settings, equipment: Equipment, tasks: &Tasks) -> Result<(), Error> {
    let (default_schedule, _) = equipment.database.default_schedule().await?;
    let dispatch = Arc::new(Dispatch::new(Limits {
        in_flight_max: settings.in_flight_max,
        breaker: settings.breaker,
    }));
    let worker = Worker {
        settings: Arc::new(settings),
        equipment,
        dispatch,
        alarm: Arc::default(),
    };
    let outcomes = worker.start_apalis(default_schedule, tasks);
    worker.start_claiming(outcomes, tasks);
    if worker.settings.maintenance {
        worker.start_maintenance(tasks);
    }
    Ok(())
}

/// What the tasks of one worker are made from.
struct Worker {
    settings: Arc<Settings>,
    equipment: Equipment,
    dispatch: Arc<Dispatch>,
    alarm: Arc<Alarm>,
}

impl Worker {
    /// Starts what attempts deliveries and writes what came of them. Answers with the way to the completer, for deliveries that
    /// never come to an attempt.
    fn start_apalis(
        &self,
        default_schedule: Arc<Schedule>,
        tasks: &Tasks,
    ) -> mpsc::UnboundedSender<Attempt> {
        let Equipment {
            database,
            webhook,
            media,
            metrics,
            ..
        } = &self.equipment;
        let (outcomes, finished) = mpsc::unbounded_channel();
        let (news, heard) = mpsc::unbounded_channel();
        let completer = Completer {
            database: database.clone(),
            dispatch: self.dispatch.clone(),
            metrics: metrics.clone(),
            worker: self.settings.name.clone(),
            alarm: self.alarm.clone(),
        };
        tasks.spawn("completer", completer.run(finished, tasks.hard().clone()));
        let reporter = Reporter {
            database: database.clone(),
            metrics: metrics.clone(),
            auto_disable: self.settings.auto_disable,
        };
        tasks.spawn("endpoint health", reporter.run(heard, tasks.hard().clone()));
        let handler = Arc::new(Handler::new(
            self.dispatch.clone(),
            Ways {
                webhook: webhook.clone(),
                media: media.clone(),
            },
            metrics.clone(),
            news,
            default_schedule,
        ));
        let in_flight_max = usize::try_from(self.settings.in_flight_max).unwrap_or(usize::MAX);
        for number in 0..self.settings.threads {
            let name = format!("{}/{number}", self.settings.name);
            let running = runtime::run(name, handler.clone(), in_flight_max, outcomes.clone());
            let second_stage = tasks.hard().clone();
            tasks.spawn("apalis worker", async move {
                tokio::select! { () = running => {}, () = second_stage.cancelled() => {} }
            });
        }
        outcomes
    }

    /// Starts what fills the dispatch and keeps its leases.
    fn start_claiming(&self, outcomes: mpsc::UnboundedSender<Attempt>, tasks: &Tasks) {
        let Equipment {
            database,
            doorbell,
            keyring,
            clock,
            metrics,
            ..
        } = self.equipment.clone();
        let keeping = CancellationToken::new();
        let keeper = Keeper {
            clock,
            unreturned: Vec::new(),
            releasing: Vec::new(),
            database: database.clone(),
            dispatch: self.dispatch.clone(),
            metrics: metrics.clone(),
            lease: self.settings.lease,
        };
        tasks.spawn("lease keeper", keeper.run(keeping.clone()));
        let intake = Arc::new(Intake {
            database: database.clone(),
            settings: self.settings.clone(),
            dispatch: self.dispatch.clone(),
            metrics: metrics.clone(),
            roster: Roster::new(keyring, self.settings.in_flight_per_endpoint_max).into(),
            holder: Holder {
                database: database.clone(),
                metrics: metrics.clone(),
            },
            completer: outcomes,
            lanes: Mutex::new(Lanes::new()),
            left: Notify::new(),
        });
        let sweeper = Sweeper {
            intake: intake.clone(),
        };
        let sweeping = sweeper.run(tasks.soft().clone());
        let claimer = Claimer {
            intake,
            alarm: self.alarm.clone(),
        };
        let claiming = claimer.run(doorbell.subscribe(), tasks.soft().clone());
        let dispatch = self.dispatch.clone();
        let second_stage = tasks.hard().clone();
        tasks.spawn("claimer", async move {
            tokio::join!(claiming, sweeping);
            drain(&dispatch, &database, &metrics, &second_stage).await;
            keeping.cancel();
        });
    }

    /// Starts taking part in maintenance.
    fn start_maintenance(&self, tasks: &Tasks) {
        let on_duty = Arc::new(AtomicBool::new(false));
        let lookout = Lookout {
            database: self.equipment.database.clone(),
            metrics: self.equipment.metrics.clone(),
            on_duty: on_duty.clone(),
        };
        tasks.spawn("lookout", lookout.run(tasks.soft().clone()));
        let maintenance = Maintenance {
            database: self.equipment.database.clone(),
            holder: self.settings.name.clone(),
            settings: self.settings.clone(),
            keyring: self.equipment.keyring.clone(),
            metrics: self.equipment.metrics.clone(),
            walk: None,
            walked_at: None,
            on_duty,
        };
        tasks.spawn("maintenance", maintenance.run(tasks.soft().clone()));
    }
}
