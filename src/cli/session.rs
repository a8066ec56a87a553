//! The database of a command: the one that was named, or our own, beside a running `serve` or without one.

use anyhow::{Context, bail};

use super::Globals;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::db::migrate::{self, Progress};
use crate::db::{Database, Error};
use crate::source::Source;

/// An open database with our schema in it.
pub(super) struct Session {
    /// What is in force.
    pub(super) config: Config,
    /// To ask.
    pub(super) database: Database,
    /// Where it is, and our own Postgres where that was started for this command.
    source: Source,
}

impl Session {
    /// Opens it. A schema that is not up to date is brought so in our own Postgres; in one that was named, that is for its owner to say.
    pub(super) async fn open(globals: &Globals) -> anyhow::Result<Self> {
        let config = globals.start()?;
        let source = Source::existing(&config).await?;
        if source.cluster.is_some() {
            migrate::run(&source.route.options).await?;
        } else {
            match migrate::progress(&source.route.options).await {
                // An operator's role may call our functions and not look behind them.
                Err(error) if error.is_forbidden() => {}
                progress => check(progress?)?,
            }
        }
        Ok(Self {
            database: source.database(),
            config,
            source,
        })
    }

    /// The keys that seal and open secrets.
    pub(super) fn keyring(&self) -> anyhow::Result<Keyring> {
        keyring(&self.config)
    }

    /// Runs a command and closes the database behind it, whatever comes of it.
    pub(super) async fn run<T>(
        globals: &Globals,
        command: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let session = Self::open(globals).await?;
        let outcome = command(&session).await;
        session.database.close().await;
        session.source.close().await;
        outcome
    }
}

/// The keys as configured.
pub(super) fn keyring(config: &Config) -> anyhow::Result<Keyring> {
    Keyring::new(config.encryption.key.as_ref(), &config.encryption.old_keys)
        .context("encryption.key (ENCRYPTION_KEY) cannot be used")
}

/// Whether the schema is the one this program was made for.
fn check(Progress { applied, known }: Progress) -> anyhow::Result<()> {
    match applied {
        0 => bail!(
            "there is no Postrider in this database yet\nhint: run `postrider migrate`, or start `postrider serve`"
        ),
        _ if applied < known => {
            bail!(
                "the schema is at migration {applied}, this program needs {known}\nhint: run `postrider migrate`"
            )
        }
        _ if applied > known => Err(Error::SchemaTooNew { applied, known }.into()),
        _ => Ok(()),
    }
}
