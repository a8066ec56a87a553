//! A subscription: what is wanted, and the handle of what runs.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::follow::Follow;
use super::handlers::Handlers;
use super::{Error, Event, HandlerError, connect};

/// What is wanted of a stream. [`Subscribe::start`] begins.
#[derive(Debug)]
pub struct Subscribe {
    pub(super) url: Url,
    pub(super) token: SecretString,
    pub(super) events: Vec<String>,
    pub(super) consumer: Option<String>,
    /// A query parameter, and its value.
    pub(super) start: Option<(&'static str, String)>,
    pub(super) reconnect: bool,
    pub(super) retries_max: Option<u32>,
    pub(super) retry_delay: Duration,
    pub(super) window: usize,
    pub(super) handlers: Handlers,
}

impl Subscribe {
    /// All events from now on.
    pub(super) fn new(base: &Url, instance: &str, token: SecretString) -> Self {
        Self {
            url: connect::stream(base, instance),
            token,
            events: Vec::new(),
            consumer: None,
            start: None,
            reconnect: true,
            retries_max: None,
            retry_delay: Duration::from_secs(1),
            window: 1000,
            handlers: Handlers::default(),
        }
    }

    /// Only events of these types. None means all but those that tell of Postrider itself.
    #[must_use]
    pub fn events(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.events = types.into_iter().map(Into::into).collect();
        self
    }

    /// Under this name the server keeps how far the subscription is, so that a program that was started again goes on there.
    /// Only one connection of a name lives: the latest.
    #[must_use]
    pub fn consumer(mut self, name: impl Into<String>) -> Self {
        self.consumer = Some(name.into());
        self
    }

    /// Begins after this event: its id, or the cursor of it. A consumer that the server knows begins where it was.
    #[must_use]
    pub fn last_event_id(mut self, id: impl Into<String>) -> Self {
        self.start = Some(("last_event_id", id.into()));
        self
    }

    /// Begins with what was emitted since then. A consumer that the server knows begins where it was.
    #[must_use]
    pub fn since(mut self, at: OffsetDateTime) -> Self {
        // A year of five digits; there will be no events of then.
        self.start = at.format(&Rfc3339).ok().map(|text| ("since", text));
        self
    }

    /// Begins with the oldest event there is. A consumer that the server knows begins where it was.
    #[must_use]
    pub fn from_earliest(mut self) -> Self {
        self.start = Some(("from", "earliest".to_owned()));
        self
    }

    /// Whether to connect again when the connection ends; it does unless told otherwise.
    #[must_use]
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// How many failures in a row may be followed by another try; no end unless told otherwise.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.retries_max = Some(retries);
        self
    }

    /// The wait after the first failure, one second unless told otherwise. It doubles up to half a minute, with jitter. Also for
    /// what a handler failed on.
    #[must_use]
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// How many events may wait behind one that is not handled, 1,000 unless told otherwise. Then no more is read.
    #[must_use]
    pub fn window(mut self, events: usize) -> Self {
        self.window = events;
        self
    }

    /// What is done with events of a type. Where it fails, or panics, the event is handed out again, to all its handlers.
    #[must_use]
    pub fn on<F, R>(mut self, event_type: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Arc<Event>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.handlers.add(Some(event_type.into()), handler);
        self
    }

    /// What is done with every event.
    #[must_use]
    pub fn on_any<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(Arc<Event>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.handlers.add(None, handler);
        self
    }

    /// Who hears of everything that goes wrong, also of what is tried again. Without one it is logged.
    #[must_use]
    pub fn on_error(mut self, hears: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.handlers.set_error(hears);
        self
    }

    /// Who hears that events were removed before they could be read, and why. Without one it is logged.
    #[must_use]
    pub fn on_gap(mut self, hears: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.handlers.set_gap(hears);
        self
    }

    /// Begins, in a task of its own: it has to be called within a Tokio runtime.
    pub fn start(self) -> Subscription {
        let closing = CancellationToken::new();
        let follow = Arc::new(Follow::new(self, closing.clone()));
        let mut running = JoinSet::new();
        let task = Arc::clone(&follow);
        running.spawn(async move { task.run().await });
        Subscription {
            running,
            closing,
            follow,
        }
    }
}

/// One that runs. Dropped, it ends where it is: what was handled and not acknowledged yet comes again. [`Subscription::close`]
/// ends it in order.
#[derive(Debug)]
pub struct Subscription {
    running: JoinSet<Result<(), Error>>,
    closing: CancellationToken,
    follow: Arc<Follow>,
}

impl Subscription {
    /// Waits for the handler that is at work, acknowledges what is handled, and closes.
    pub async fn close(mut self) -> Result<(), Error> {
        self.closing.cancel();
        self.ended().await
    }

    /// Waits until it ends by itself, for it may not reconnect or it is of no use, and says why.
    pub async fn ended(&mut self) -> Result<(), Error> {
        match self.running.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(died)) => Err(Error::Lost(died.into())),
            None => Ok(()),
        }
    }

    /// Where it is: everything up to this cursor has been handled.
    pub fn position(&self) -> Option<String> {
        self.follow.position()
    }
}
