//! One attempt, from a job to what becomes of its delivery. Runs inside an apalis worker.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use super::dispatch::{Dispatch, Job, News};
use super::media::{self, Embedded};
use crate::backoff::{self, Progress};
use crate::channels::{AnyChannel, Class, Failure, MediaClient, Outcome, Retry, Verdict};
use crate::metrics::{Metrics, Tries};
use crate::model::{Attempt, Channel, Delivery, Destination, Parcel, Resolution, Schedule};

/// Leases that may expire over a delivery before it is buried: whatever it does to its workers, it stops doing.
pub(super) const CRASHES_MAX: u32 = 10;
/// From so many on it is tried when no other such delivery is: those that were held by the same workers are not buried for it.
pub(super) const CRASHES_SUSPECT: u32 = 3;

/// What an attempt needs beside its job.
#[derive(Debug)]
pub(super) struct Handler {
    dispatch: Arc<Dispatch>,
    ways: Ways,
    metrics: Arc<Metrics>,
    news: mpsc::UnboundedSender<News>,
    default_schedule: Arc<Schedule>,
}

/// How an attempt leaves the house.
#[derive(Debug)]
pub(super) struct Ways {
    /// Deliveries.
    pub(super) webhook: Arc<dyn AnyChannel>,
    /// Requests for media; none where none is fetched.
    pub(super) media: Option<MediaClient>,
}

impl Handler {
    /// Made once, shared by all workers.
    pub(super) fn new(
        dispatch: Arc<Dispatch>,
        ways: Ways,
        metrics: Arc<Metrics>,
        news: mpsc::UnboundedSender<News>,
        default_schedule: Arc<Schedule>,
    ) -> Self {
        Self {
            dispatch,
            ways,
            metrics,
            news,
            default_schedule,
        }
    }

    /// What the workers are given from.
    pub(super) fn dispatch(&self) -> Arc<Dispatch> {
        self.dispatch.clone()
    }

    /// Makes one attempt.
    pub(super) async fn attempt(&self, mut job: Job) -> Attempt {
        let embedded = match &self.ways.media {
            Some(client) if media::is_wanted(&job) => {
                Box::pin(media::embed(client, &mut job)).await
            }
            _ => Embedded::default(),
        };
        let started = Instant::now();
        let channel = job.delivery.channel;
        let url_is_stale = url_is_stale(&job);
        let tries = if job.delivery.is_again {
            Tries::Again
        } else {
            Tries::First
        };
        let parcel = Parcel {
            event_id: job.delivery.event_id,
            event_type: job.delivery.event_type,
            instance: job.delivery.instance,
            sender: job.delivery.sender,
            occurred_at: job.delivery.occurred_at,
            attempt: job.delivery.attempts + 1,
            payload: job.delivery.payload,
            to: job.to,
            deadline: started + job.timeout,
        };
        let outcome = match channel {
            Channel::Webhook => self.ways.webhook.deliver_any(&parcel).await,
        };
        let ended = Instant::now();
        let progress = Progress {
            attempts: job.delivery.attempts,
            attempts_max: job.delivery.attempts_max,
            since_first_attempt: job.delivery.since_first_attempt,
        };
        let resolution = backoff::resolve(&outcome, &job.schedule, progress, rand::random());
        self.count(channel, &outcome, resolution, ended - started);
        if resolution == Resolution::Delivered {
            let lag = job.delivery.age + (ended - job.claimed_at);
            self.metrics
                .delivery
                .lag_seconds
                .of(channel, tries)
                .record(lag.as_secs_f64());
        }
        Attempt {
            lease: job.delivery.lease,
            url_is_stale,
            duration: ended - started,
            outcome,
            resolution,
            note: embedded.note,
        }
    }

    /// What is known of an attempt whose handler panicked.
    pub(super) fn crashed(&self, delivery: i64, panic: &str) -> Option<Attempt> {
        tracing::error!(
            delivery.id = delivery,
            panic,
            "the handler of a delivery panicked"
        );
        let (lease, progress) = self.dispatch.in_flight(delivery)?;
        let outcome = crash(format!("the handler panicked: {panic}"), Retry::OnSchedule);
        let resolution =
            backoff::resolve(&outcome, &self.default_schedule, progress, rand::random());
        self.count(Channel::Webhook, &outcome, resolution, Duration::ZERO);
        Some(Attempt {
            lease,
            url_is_stale: false,
            duration: Duration::ZERO,
            outcome,
            resolution,
            note: None,
        })
    }

    /// Tells the dispatch how it went.
    pub(super) fn finished(&self, attempt: &Attempt) {
        if let Some(news) = self.dispatch.finished(attempt) {
            // Nobody listens only while the process ends.
            let _ = self.news.send(news);
        }
    }

    fn count(
        &self,
        channel: Channel,
        outcome: &Outcome,
        resolution: Resolution,
        duration: Duration,
    ) {
        let metrics = &self.metrics.delivery;
        metrics.attempts.of(channel, outcome.into()).increment(1);
        metrics
            .attempt_duration_seconds
            .of(channel)
            .record(duration.as_secs_f64());
        match resolution {
            Resolution::Delivered => {}
            Resolution::Retry { .. } => metrics.retries.increment(1),
            Resolution::Failed => metrics.dead_letters.increment(1),
        }
    }
}

/// The end of a delivery that never comes to an attempt.
pub(super) fn buried(delivery: &Delivery, class: Class, why: String) -> Attempt {
    let mut outcome = crash(why, Retry::Never);
    if let Outcome::Failed(failure) = &mut outcome {
        failure.class = class;
    }
    Attempt {
        lease: delivery.lease,
        url_is_stale: false,
        duration: Duration::ZERO,
        outcome,
        resolution: Resolution::Failed,
        note: None,
    }
}

/// A failure that is our own.
fn crash(detail: String, retry: Retry) -> Outcome {
    Outcome::Failed(Failure {
        class: Class::Crash,
        status: None,
        detail,
        response: bytes::Bytes::new(),
        retry,
        verdict: Verdict::None,
    })
}

/// Whether the row shows another URL than the one its endpoint has now.
fn url_is_stale(job: &Job) -> bool {
    let Destination::Endpoint(endpoint) = &job.to else {
        return false;
    };
    if endpoint.by_events {
        !job.delivery.url.starts_with(
            endpoint
                .url_text
                .split(['?', '#'])
                .next()
                .unwrap_or_default()
                .trim_end_matches('/'),
        )
    } else {
        job.delivery.url != endpoint.url_text
    }
}
