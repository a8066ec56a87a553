//! Endpoints for tests: each has a receiver of its own.

use std::net::Ipv4Addr;

use sqlx::Row as _;

use super::app::{INSTANCE, TestApp};
use super::receiver::{Answer, Receiver};

/// An endpoint and who is behind it.
pub(crate) struct Endpoint {
    pub(crate) id: i64,
    pub(crate) receiver: Receiver,
}

/// What an endpoint is to be like. Whatever is not said is as `postrider.set_endpoint` has it, but for the schedule: `fast`.
pub(crate) struct EndpointBuilder<'a> {
    app: &'a TestApp,
    label: &'a str,
    address: Ipv4Addr,
    answer: Answer,
    schedule: &'a str,
    events: Vec<String>,
    dialect: &'a str,
    secret: Option<&'a str>,
    authorization: Option<&'a str>,
    by_events: Option<bool>,
    media_base64: Option<bool>,
    max_attempts: Option<i32>,
    timeout_ms: Option<i32>,
    max_in_flight: Option<i32>,
}

impl<'a> EndpointBuilder<'a> {
    pub(super) fn new(app: &'a TestApp, label: &'a str) -> Self {
        Self {
            app,
            label,
            address: Ipv4Addr::LOCALHOST,
            answer: Answer::ok(),
            schedule: "fast",
            events: Vec::new(),
            dialect: "postrider",
            secret: None,
            authorization: None,
            by_events: None,
            media_base64: None,
            max_attempts: None,
            timeout_ms: None,
            max_in_flight: None,
        }
    }

    /// Its receiver answers everything with this status.
    pub(crate) fn failing(self, status: u16) -> Self {
        self.answering(Answer::status(status))
    }

    /// Its receiver answers everything so.
    pub(crate) fn answering(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    /// Its receiver listens at this address of the machine.
    pub(crate) fn at(mut self, address: Ipv4Addr) -> Self {
        self.address = address;
        self
    }

    /// Its row of the backoff table.
    pub(crate) fn schedule(mut self, schedule: &'a str) -> Self {
        self.schedule = schedule;
        self
    }

    /// The event types it wants.
    pub(crate) fn events(mut self, events: &[&str]) -> Self {
        self.events = events.iter().map(|&event| event.to_owned()).collect();
        self
    }

    /// Whose envelope it wants.
    pub(crate) fn dialect(mut self, dialect: &'a str) -> Self {
        self.dialect = dialect;
        self
    }

    /// Signs with this.
    pub(crate) fn secret(mut self, secret: &'a str) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Is sent this `Authorization`.
    pub(crate) fn authorization(mut self, authorization: &'a str) -> Self {
        self.authorization = Some(authorization);
        self
    }

    /// Wants the event type at the end of its URL.
    pub(crate) fn by_events(mut self) -> Self {
        self.by_events = Some(true);
        self
    }

    /// Wants base64 media, or not.
    pub(crate) fn media_base64(mut self, wanted: bool) -> Self {
        self.media_base64 = Some(wanted);
        self
    }

    /// How often it is tried.
    pub(crate) fn max_attempts(mut self, most: i32) -> Self {
        self.max_attempts = Some(most);
        self
    }

    /// How long an attempt may take.
    pub(crate) fn timeout_ms(mut self, timeout: i32) -> Self {
        self.timeout_ms = Some(timeout);
        self
    }

    /// How many attempts may be in flight.
    pub(crate) fn max_in_flight(mut self, most: i32) -> Self {
        self.max_in_flight = Some(most);
        self
    }

    /// Makes it.
    pub(crate) async fn create(self) -> Endpoint {
        let receiver = Receiver::start_at(self.address).await;
        receiver.answer(self.answer);
        let id = sqlx::query(
            "select postrider.set_endpoint($1, $2, label => $3, events => $4, dialect => $5, authorization_header => $6
               , signing_secret => $7, by_events => $8, media_base64 => $9, schedule => $10, max_attempts => $11
               , timeout_ms => $12, max_in_flight => $13)",
        )
        .bind(INSTANCE)
        .bind(receiver.url())
        .bind(self.label)
        .bind(self.events)
        .bind(self.dialect)
        .bind(self.authorization)
        .bind(self.secret)
        .bind(self.by_events)
        .bind(self.media_base64)
        .bind(self.schedule)
        .bind(self.max_attempts)
        .bind(self.timeout_ms)
        .bind(self.max_in_flight)
        .fetch_one(self.app.pool())
        .await
        .unwrap()
        .get(0);
        Endpoint { id, receiver }
    }
}
