//! The webhook channel: one parcel, one POST.

mod headers;
mod problem;
mod request;
mod response;
mod retry_after;

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::clock::WallClock;
use super::egress::GuardedClient;
use super::{Channel, Outcome};
use crate::dialect::Dialect;
use crate::model::Parcel;

pub(super) use problem::failure;
pub use request::url_of;

/// Delivers over HTTP.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: GuardedClient,
    clock: Arc<WallClock>,
    origin: Origin,
}

/// What envelopes tell of this installation.
#[derive(Debug, Clone)]
struct Origin {
    /// `http.public_url`.
    public_url: String,
    /// A dialect whose envelopes go without the instance's token.
    without_token: Option<Dialect>,
}

impl Webhook {
    /// A channel that goes out by `client`.
    pub fn new(
        client: GuardedClient,
        clock: Arc<WallClock>,
        public_url: impl Into<String>,
    ) -> Self {
        Self {
            client,
            clock,
            origin: Origin {
                public_url: public_url.into(),
                without_token: None,
            },
        }
    }

    /// From now on the envelopes of this dialect go without the instance's token.
    #[must_use]
    pub fn without_token(mut self, dialect: Dialect) -> Self {
        self.origin.without_token = Some(dialect);
        self
    }

    /// The attempt itself, without the deadline.
    async fn attempt(&self, parcel: &Parcel) -> Outcome {
        let now = self.clock.now();
        let request = match request::build(parcel, &self.origin, now) {
            Ok(request) => request,
            Err(unfit) => return Outcome::Failed(unfit.into()),
        };
        let mut response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(problem) => return Outcome::Failed(problem::failure(&problem)),
        };
        match response::read(&mut response).await {
            Ok(kept) => response::judge(parcel, &response, kept, now),
            Err(error) => Outcome::Failed(problem::cut_off(response.status(), &error)),
        }
    }
}

impl Channel for Webhook {
    async fn deliver(&self, parcel: &Parcel) -> Outcome {
        let started = Instant::now();
        match timeout_at(parcel.deadline, self.attempt(parcel)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(problem::deadline(started.elapsed())),
        }
    }
}
