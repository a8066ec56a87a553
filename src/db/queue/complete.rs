//! Ends the leases of finished attempts, and writes the attempt log.

use std::borrow::Cow;
use std::time::Duration;

use crate::db::{Database, Error};
use crate::model::{Attempt, Outcome, Resolution};

/// The longest wait that is written: ten years.
const WAIT_MAX: Duration = Duration::from_hours(10 * 365 * 24);

impl Database {
    /// Ends the leases of finished attempts. Answers with the deliveries that were still ours.
    pub async fn complete(&self, attempts: &[Attempt], worker: &str) -> Result<Vec<i64>, Error> {
        let columns = Columns::of(attempts);
        sqlx::query_scalar(include_str!("../../../sql/queue/complete.sql"))
            .bind(columns.deliveries)
            .bind(columns.tokens)
            .bind(columns.statuses)
            .bind(columns.waits_s)
            .bind(columns.counts)
            .bind(columns.durations_ms)
            .bind(columns.classes)
            .bind(columns.http_statuses)
            .bind(columns.details)
            .bind(columns.responses)
            .bind(worker)
            .fetch_all(self.pool())
            .await
            .map_err(Error::doing("complete deliveries"))
    }

    /// Shows in rows of endpoints where their deliveries really go.
    pub async fn refresh_urls(&self, deliveries: &[i64]) -> Result<(), Error> {
        sqlx::query(
            // Locked as in a completion: a row that somebody else has in hand keeps its old URL in the list, and no outcome waits.
            "-- queue.refresh_urls: rows of an endpoint show the endpoint's URL
            with held as materialized (
              select queue.id from postrider.webhook_queue queue
              where queue.id = any ($1) and queue.lease_token is not null
              order by queue.id
              for no key update skip locked
            )
            update postrider.webhook_queue queue
            set url = postrider.endpoint_url(endpoint.url, endpoint.by_events, queue.event_type, endpoint.dialect)
            from held, postrider.endpoints endpoint
            where queue.id = held.id and endpoint.id = queue.endpoint_id",
        )
        .bind(deliveries)
        .execute(self.pool())
        .await
        .map_err(Error::doing("refresh the URLs of deliveries"))?;
        Ok(())
    }
}

/// A text as Postgres takes it: one that it refuses would keep all other outcomes of the batch from being written.
pub(in crate::db) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Attempts as the arrays that `complete` takes.
#[derive(Default)]
struct Columns<'a> {
    deliveries: Vec<i64>,
    tokens: Vec<i64>,
    statuses: Vec<&'static str>,
    waits_s: Vec<f64>,
    counts: Vec<bool>,
    durations_ms: Vec<i32>,
    classes: Vec<Option<&'static str>>,
    http_statuses: Vec<Option<i32>>,
    details: Vec<Option<Cow<'a, str>>>,
    responses: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn of(attempts: &'a [Attempt]) -> Self {
        let mut columns = Self::default();
        for attempt in attempts {
            columns.push(attempt);
        }
        columns
    }

    fn push(&mut self, attempt: &'a Attempt) {
        let (status, wait, counts) = match attempt.resolution {
            Resolution::Delivered => ("delivered", Duration::ZERO, true),
            Resolution::Retry { wait, spent } => ("pending", wait, spent),
            Resolution::Failed => ("failed", Duration::ZERO, true),
        };
        // Postgres's calendar ends, and so does what one may wait for.
        let wait = wait.min(WAIT_MAX);
        let (class, http_status, detail, response) = match &attempt.outcome {
            Outcome::Delivered(receipt) => (None, receipt.status, None, &receipt.response),
            Outcome::Failed(failure) => (
                Some(failure.class.as_str()),
                failure.status,
                Some(failure.detail.as_str()),
                &failure.response,
            ),
        };
        self.deliveries.push(attempt.lease.delivery);
        self.tokens.push(attempt.lease.token);
        self.statuses.push(status);
        self.waits_s.push(wait.as_secs_f64());
        self.counts.push(counts);
        self.durations_ms
            .push(i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX));
        self.classes.push(class);
        self.http_statuses.push(http_status.map(i32::from));
        let detail = match (detail, attempt.note.as_deref()) {
            (Some(detail), Some(note)) => {
                Some(storable(&format!("{detail}; {note}")).into_owned().into())
            }
            (detail, note) => detail.or(note).map(storable),
        };
        self.details.push(detail);
        self.responses
            .push(Some(&response[..]).filter(|response| !response.is_empty()));
    }
}
