//! The two halves of a subscription: one reads the stream and acknowledges, the other hands events to the handlers.
//!
//! They meet in the ledger. A slow handler so never keeps a ping from being answered, and what was received before a connection
//! broke is handled while the next one is being made.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::connect::{self, Socket};
use super::event::Said;
use super::ledger::{Ledger, Next};
use super::subscribe::Subscribe;
use super::{Error, pace};

/// How often a quiet server is asked whether it lives, and after how long without a word it does not.
const PING: Duration = Duration::from_secs(20);
const DEAD: Duration = Duration::from_secs(65);
/// For one message to leave.
const SENDING_MAX: Duration = Duration::from_secs(15);
/// For the server to answer that we close.
const CLOSING_MAX: Duration = Duration::from_secs(5);

/// A subscription that runs.
#[derive(Debug)]
pub(super) struct Follow {
    wanted: Subscribe,
    ledger: Mutex<Ledger>,
    /// There is something to hand out.
    arrived: Notify,
    /// Something has been handled.
    handled: Notify,
    /// It is to end.
    closing: CancellationToken,
    /// No handler is at work any more.
    idle: CancellationToken,
}

/// How a connection ended, other than by an error.
enum Ended {
    /// We closed it.
    Closed,
    /// It is to be opened at another place.
    Elsewhere,
}

impl Follow {
    /// Not connected yet.
    pub(super) fn new(wanted: Subscribe, closing: CancellationToken) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new(wanted.window)),
            wanted,
            arrived: Notify::new(),
            handled: Notify::new(),
            closing,
            idle: CancellationToken::new(),
        }
    }

    /// Everything up to here has been handled.
    pub(super) fn position(&self) -> Option<String> {
        self.ledger().position().map(str::to_owned)
    }

    /// Until it is closed, or cannot go on.
    pub(super) async fn run(&self) -> Result<(), Error> {
        let reading = async {
            let ended = self.read().await;
            self.closing.cancel();
            ended
        };
        tokio::join!(reading, self.handle()).0
    }

    /// Hands out what is due, one after the other.
    async fn handle(&self) {
        while !self.closing.is_cancelled() {
            let next = self.ledger().next(Instant::now());
            let due = match next {
                Next::Event(event) => {
                    let handled = self.wanted.handlers.handle(&event).await;
                    if let Err(source) = handled {
                        self.wanted.handlers.failed(&Error::Handler {
                            event_id: event.id.clone(),
                            event_type: event.event_type.clone(),
                            source,
                        });
                        let due = |failures| Instant::now() + self.wait(failures);
                        self.ledger().failed(&event.id, due);
                    } else {
                        self.ledger().done(&event.id);
                        self.handled.notify_one();
                    }
                    continue;
                }
                Next::At(due) => Some(due),
                Next::Nothing => None,
            };
            let waiting = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = waiting => {}
                () = self.arrived.notified() => {}
                () = self.closing.cancelled() => {}
            }
        }
        self.idle.cancel();
    }

    /// Connects again and again.
    async fn read(&self) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            let url = self.url();
            let ended = tokio::select! {
                opened = connect::open(&url, &self.wanted.token) => match opened {
                    Ok(socket) => self.converse(socket, &mut failures).await,
                    Err(error) => Err(error),
                },
                () = self.closed() => return Ok(()),
            };
            let error = match ended {
                Ok(Ended::Closed) => return Ok(()),
                Ok(Ended::Elsewhere) => None,
                Err(error) => Some(error),
            };
            let mut wait_min = Duration::ZERO;
            if let Some(error) = error {
                self.wanted.handlers.failed(&error);
                let spent = self.wanted.retries_max.is_some_and(|most| failures >= most);
                if error.is_final() || !self.wanted.reconnect || spent {
                    return Err(error);
                }
                if let Error::Refused { retry_after, .. } = error {
                    wait_min = retry_after.unwrap_or_default();
                }
            }
            failures = failures.saturating_add(1);
            tokio::select! {
                () = sleep(self.wait(failures).max(wait_min)) => {}
                () = self.closed() => return Ok(()),
            }
        }
    }

    /// It is to end, and no handler is at work.
    async fn closed(&self) {
        self.closing.cancelled().await;
        self.idle.cancelled().await;
    }

    /// One connection, from its first message to its end. `failures` are none once it has begun.
    async fn converse(&self, mut socket: Socket, failures: &mut u32) -> Result<Ended, Error> {
        let mut acknowledged = None;
        let mut heard = Instant::now();
        let mut beat = interval(PING);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Asked first: what a handler ends with meanwhile is acknowledged in the next turn.
            let idle = self.idle.is_cancelled();
            self.acknowledge(&mut socket, &mut acknowledged).await?;
            if idle {
                return self.close(socket).await;
            }
            let room = !self.ledger().is_full();
            tokio::select! {
                message = socket.next(), if room => {
                    heard = Instant::now();
                    let message = message.ok_or_else(gone)?.map_err(lost)?;
                    if self.take(message, failures)? {
                        // The earliest place is told to the server before it is asked to begin there.
                        self.acknowledge(&mut socket, &mut acknowledged).await?;
                        self.close(socket).await?;
                        return Ok(Ended::Elsewhere);
                    }
                }
                _ = beat.tick() => {
                    if room && heard.elapsed() > DEAD {
                        return Err(Error::Silent);
                    }
                    send(&mut socket, Message::Ping(Vec::new().into())).await?;
                }
                () = self.handled.notified() => {}
                () = self.idle.cancelled() => {}
            }
        }
    }

    /// One message of the server. True where the stream has to be begun at another place.
    fn take(&self, message: Message, failures: &mut u32) -> Result<bool, Error> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => return Err(closed(frame)),
            _ => return Ok(false),
        };
        let said = Said::parse(&text).map_err(|error| Error::NotUnderstood(error.to_string()))?;
        match said {
            Said::Event(event) => {
                *failures = 0;
                if self.ledger().receive(event, Instant::now()) {
                    self.arrived.notify_one();
                }
            }
            Said::Position { cursor } => {
                *failures = 0;
                self.ledger().settle(cursor);
            }
            Said::Gap { reason, earliest } => {
                self.wanted.handlers.gap(&reason);
                self.ledger().go_on_from(&earliest);
                return Ok(true);
            }
            Said::Other => {}
        }
        Ok(false)
    }

    /// Tells the server how far we are, where it keeps that and does not know it.
    async fn acknowledge(
        &self,
        socket: &mut Socket,
        last: &mut Option<String>,
    ) -> Result<(), Error> {
        let position = self.position();
        if self.wanted.consumer.is_none() || position.is_none() || position == *last {
            return Ok(());
        }
        let ack = serde_json::json!({"command": "ack", "cursor": position});
        send(socket, Message::text(ack.to_string())).await?;
        *last = position;
        Ok(())
    }

    /// Closes in order: what we acknowledged is taken in before the server answers.
    async fn close(&self, mut socket: Socket) -> Result<Ended, Error> {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let closing = async {
            if socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = socket.next().await {}
            }
        };
        // A server that is gone will not answer; we go all the same.
        drop(timeout(CLOSING_MAX, closing).await);
        Ok(Ended::Closed)
    }

    /// Where to begin.
    fn url(&self) -> Url {
        let mut url = self.wanted.url.clone();
        let ledger = self.ledger();
        {
            let mut query = url.query_pairs_mut();
            if !self.wanted.events.is_empty() {
                query.append_pair("events", &self.wanted.events.join(","));
            }
            if let Some(consumer) = &self.wanted.consumer {
                query.append_pair("consumer", consumer);
            }
            match (ledger.received(), &self.wanted.start) {
                (Some(cursor), _) => query.append_pair("cursor", cursor),
                (None, Some((name, value))) => query.append_pair(name, value),
                (None, None) => &mut query,
            };
        }
        url
    }

    /// The wait after so many failures in a row.
    fn wait(&self, failures: u32) -> Duration {
        pace::after(failures, self.wanted.retry_delay, rand::random())
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends one message.
async fn send(socket: &mut Socket, message: Message) -> Result<(), Error> {
    let sent = timeout(SENDING_MAX, socket.send(message)).await;
    sent.unwrap_or(Err(tungstenite::Error::ConnectionClosed))
        .map_err(lost)
}

/// The connection broke.
fn lost(error: tungstenite::Error) -> Error {
    Error::Lost(error.into())
}

/// It ended without a word.
fn gone() -> Error {
    lost(tungstenite::Error::ConnectionClosed)
}

/// The server closed it.
fn closed(frame: Option<CloseFrame>) -> Error {
    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
        (frame.code.into(), frame.reason.to_string())
    });
    Error::Closed { code, reason }
}
