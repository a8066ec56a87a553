//! What the doors are given: everything a connection needs from its request to its end.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::acks::Acks;
use super::claims::Claims;
use super::close::Close;
use super::connection::Connection;
use super::evolution::Directory;
use super::filter::Filter;
use super::flavor::Profile;
use super::hub::Hub;
use super::lookups::Lookups;
use super::pages::Pages;
use super::pulse::Clock;
use super::replay::{Broken, Replay};
use crate::causes::Causes;
use crate::config::ConfiguredTokens;
use crate::crypto::Keyring;
use crate::crypto::token::TokenDigest;
use crate::db::administration::Instance;
use crate::db::tail::{Cursor, Gap, Origin, earliest};
use crate::db::{Database, Minutes};
use crate::dialect::Identity;
use crate::lifecycle::Tasks;
use crate::metrics::Resume;
use crate::model::{Access, Reach};

/// How long a step, or the place of a cursor, is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Shared by all doors.
#[derive(Debug)]
pub struct Sidecar {
    /// Rings and connections.
    pub hub: Arc<Hub>,
    /// For look-ups and for what was missed.
    pub database: Database,
    /// Opens the tokens of instances.
    pub keyring: Arc<Keyring>,
    /// To spawn with.
    pub tasks: Tasks,
    /// How clients reach the API, for envelopes.
    pub public_url: String,
    /// Whether Evolution API's envelope shows the instance's token.
    pub shows_token: bool,
    /// Whether whoever may hear all instances hears them on one socket of Evolution API's.
    pub global_events: bool,
    /// Origins of web pages that may connect; `*` is all.
    pub origins: Vec<String>,
    /// Tokens that stand in the configuration.
    pub configured: ConfiguredTokens,
    /// Messages are compressed for clients that take them so.
    pub compression: bool,
    /// The longest message a client may send.
    pub inbound_bytes_max: usize,
    /// By which subscriptions know who holds them; another one each time it is started.
    pub name: String,
    /// Positions of durable consumers, on their way to the table.
    pub(super) acks: Acks,
    /// Subscriptions that are held, and what they have acknowledged.
    pub(super) claims: Claims,
    /// Pages of the log that several read at once.
    pub(super) pages: Pages,
    /// What tokens were good for a moment ago.
    pub(super) tokens: Lookups<TokenDigest, Access>,
    /// Instances that were found a moment ago, by who asked and what for.
    pub(super) instances: Lookups<(Reach, String), Arc<Instance>>,
    /// What instances were configured for a moment ago on Evolution API's sockets.
    pub(super) filters: Lookups<i64, Filter>,
    /// Instances of accounts that are heard as a whole.
    pub(super) directory: Directory,
    /// When the minutes begin in which requests are counted.
    pub(super) minutes: Minutes,
    /// Ticks of the pulse.
    pub(super) clock: Arc<Clock>,
}

/// Where a connection wants to begin.
#[derive(Debug, Clone)]
pub enum Place {
    /// With the present.
    Present,
    /// Where the log was when it was let in, or where it was not known yet: it resumes nothing.
    Noted(Origin),
    /// Where its client was.
    Resumed(Origin),
}

impl Place {
    /// Where that is; none: the present.
    fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Present => None,
            Self::Noted(origin) | Self::Resumed(origin) => Some(origin),
        }
    }
}

/// Where a connection begins.
#[derive(Debug)]
pub(super) struct Beginning {
    /// What it is given before what comes.
    pub(super) replay: Option<Replay>,
    /// Where it begins, for the client to know.
    pub(super) position: Cursor,
    /// Why there is a gap, and the oldest place to begin at instead.
    pub(super) gap: Option<(Gap, Cursor)>,
}

impl Sidecar {
    /// Writes what clients have acknowledged. In a task of its own: whoever waits for it may hang up, and what was on its way would
    /// be lost with him.
    pub(super) async fn write_acknowledged(self: &Arc<Self>) {
        let sidecar = Arc::clone(self);
        let (done, written) = oneshot::channel();
        self.tasks.serve("socket acks", async move {
            sidecar.acks.flush(&sidecar.database, &sidecar.hub).await;
            sidecar.claims.flush(&sidecar).await;
            // Whoever asked may have gone.
            let _ = done.send(());
        });
        drop(written.await);
    }

    /// An instance's key, and what envelopes tell of it. A token that cannot be opened is left out.
    pub(super) fn profile(&self, instance: &Instance) -> (i64, Profile) {
        let opened = instance
            .token
            .as_deref()
            .and_then(|token| self.keyring.open(token).ok());
        let profile = Profile {
            name: instance.name.clone(),
            identity: Identity {
                uid: instance.uid.clone(),
                vzaps_id: instance.vzaps_id.clone(),
                sender: instance.sender.clone(),
                created_at: instance.created_at,
            },
            token: opened.map(|token| token.expose_secret().to_owned()),
            shows_token: self.shows_token,
            base_url: self.public_url.clone(),
            changed_at: instance.updated_at,
        };
        (instance.id, profile)
    }

    /// Attaches a connection where it wants to begin. An error is why it cannot be served now.
    pub(super) async fn begin(
        &self,
        connection: &Arc<Connection>,
        place: &Place,
    ) -> Result<Beginning, Close> {
        let beginning = timeout(PATIENCE, self.find_beginning(connection, place)).await;
        beginning.unwrap_or(Err(Close::Unavailable))
    }

    /// Where the events are now, for one that has been admitted: while nobody is, the tail rests.
    pub(super) async fn present(&self) -> Result<Cursor, Close> {
        if self.hub.present().is_none() {
            let step = timeout(PATIENCE, self.hub.fresh_step()).await;
            step.map_err(|_| Close::Unavailable)?;
        }
        self.hub.present().ok_or(Close::Unavailable)
    }

    async fn find_beginning(
        &self,
        connection: &Arc<Connection>,
        place: &Place,
    ) -> Result<Beginning, Close> {
        let origin = place.origin();
        if origin.is_some() || self.hub.present().is_none() {
            self.hub.fresh_step().await;
        }
        let present = self.hub.present().ok_or(Close::Unavailable)?;
        let cursor = match origin {
            None => None,
            Some(origin) => {
                let located = self.database.locate(origin, &present).await.map_err(|error| {
                    tracing::warn!(error = %Causes(&error), "the place of a cursor could not be found");
                    Close::Unavailable
                })?;
                Some(located)
            }
        };
        let known = cursor.as_ref().and_then(|located| located.as_ref().ok());
        let attached = self
            .hub
            .attach(connection, known)
            .ok_or(Close::Unavailable)?;
        let position = attached.boundary;
        let gap = match cursor {
            None => None,
            Some(Err(gap)) => Some(gap),
            Some(Ok(cursor)) => {
                let from = if attached.missed.is_some() {
                    Resume::Ring
                } else {
                    Resume::Table
                };
                let mut replay = Replay::new(&cursor, &position, attached.missed);
                let instance = connection.topic.instance;
                // Who acknowledges event by event cannot be told of a gap, and is given what there is.
                let untold = connection.out().ledger.is_some();
                let prepared = if untold {
                    Ok(())
                } else {
                    replay
                        .prepare((&self.database, &self.pages), instance)
                        .await
                };
                match prepared {
                    Ok(()) => {
                        if let Place::Resumed(_) = place {
                            self.hub.metrics.realtime.resumes.of(from).increment(1);
                        }
                        return Ok(Beginning {
                            replay: Some(replay),
                            position: cursor,
                            gap: None,
                        });
                    }
                    Err(Broken::Gap) => Some(Gap::Removed),
                    Err(Broken::Away(error)) => {
                        tracing::warn!(error = %Causes(&error), "what a client missed could not be read");
                        return Err(Close::Unavailable);
                    }
                }
            }
        };
        if gap.is_some() {
            let resumes = &self.hub.metrics.realtime.resumes;
            resumes.of(Resume::Gap).increment(1);
        }
        Ok(Beginning {
            replay: None,
            gap: gap.map(|gap| (gap, earliest(&position))),
            position,
        })
    }
}
