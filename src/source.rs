//! Which Postgres: the one that was named, or a private one of our own.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::db::embedded::{self, Cluster};
use crate::db::{ConnectOptions, Database, Purpose};

/// Where the database is, and what has to be kept alive for it.
#[derive(Debug)]
pub struct Source {
    /// For statements; may lead through a pooler.
    pub options: ConnectOptions,
    /// Past any pooler, for LISTEN, locks and migrations.
    pub direct: ConnectOptions,
    /// Our own Postgres, where no other was named.
    pub cluster: Option<Cluster>,
}

impl Source {
    /// Finds the database; starts (and, where it must, installs) our own one when none is named.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        if let Some(named) = Self::named(config)? {
            return Ok(named);
        }
        let cluster = Cluster::start(options(config))
            .await
            .context("starting the private Postgres (set DATABASE_URL to use another one)")?;
        tracing::info!(postgres.data_dir = %cluster.data_dir().display(), postgres.major = cluster.major(), "private Postgres is up");
        Ok(Self {
            options: cluster.connect_options(),
            direct: cluster.connect_options(),
            cluster: Some(cluster),
        })
    }

    /// The same for a command beside a running `serve`: our own Postgres is used where it runs, and started for the time of
    /// the command where it does not.
    pub async fn attach(config: &Config) -> anyhow::Result<Self> {
        if let Some(named) = Self::named(config)? {
            return Ok(named);
        }
        match Cluster::start(options(config)).await {
            Ok(cluster) => Ok(Self {
                options: cluster.connect_options(),
                direct: cluster.connect_options(),
                cluster: Some(cluster),
            }),
            Err(embedded::Error::InUse { .. }) => {
                let options =
                    Cluster::options_of_running(config.database.embedded.data_dir.as_deref())?;
                until_up(&options).await?;
                Ok(Self {
                    options: options.clone(),
                    direct: options,
                    cluster: None,
                })
            }
            Err(error) => Err(error)
                .context("starting the private Postgres (set DATABASE_URL to use another one)"),
        }
    }

    /// A small pool for a command.
    pub fn database(&self) -> Database {
        Database::open(self.options.clone(), Purpose::Command, 4)
    }

    /// Stops our own Postgres, where it is ours.
    pub async fn close(self) {
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }

    /// The one that was named.
    fn named(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(url) = &config.database.url else {
            return Ok(None);
        };
        let parse = |url: &secrecy::SecretString| {
            // The driver's message could quote the URL, password and all.
            ConnectOptions::from_str(url.expose_secret()).map_err(|_| {
                anyhow::anyhow!(
                    "database.url cannot be used: it is postgres://user:password@host:port/database"
                )
            })
        };
        let options = parse(url)?;
        let direct = config
            .database
            .direct_url
            .as_ref()
            .map_or_else(|| Ok(options.clone()), parse)?;
        Ok(Some(Self {
            options,
            direct,
            cluster: None,
        }))
    }
}

/// Waits for a Postgres that another process of ours is only starting.
async fn until_up(options: &ConnectOptions) -> anyhow::Result<()> {
    /// How long a start may take; recovery from a crash is part of it.
    const PATIENCE: Duration = Duration::from_secs(20);
    let deadline = Instant::now() + PATIENCE;
    let database = Database::open(options.clone(), Purpose::Command, 1);
    loop {
        match database.ping().await {
            Ok(()) => break,
            Err(error) if Instant::now() >= deadline => {
                return Err(error).context("the private Postgres is in use, but does not answer");
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
    database.close().await;
    Ok(())
}

/// What the configuration says of our own Postgres.
fn options(config: &Config) -> embedded::Options {
    embedded::Options {
        data_dir: config.database.embedded.data_dir.clone(),
        binaries: config.database.embedded.bin_dir.clone(),
        ..embedded::Options::default()
    }
}
