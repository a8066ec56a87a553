//! Which Postgres: the one that was named, or a private one of our own.

use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};

use crate::causes::Causes;
use crate::config::Config;
use crate::db::embedded::{self, Cluster};
use crate::db::{ConnectOptions, Database, Line, Purpose, Route};

/// Between two tries to start our own Postgres again.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// Where the database is, and what has to be kept alive for it.
#[derive(Debug)]
pub struct Source {
    /// The way to it.
    pub route: Route,
    /// Our own Postgres, where no other was named.
    pub cluster: Option<Cluster>,
}

impl Source {
    /// Finds the database; starts (and, where it must, installs) our own one when none is named.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        if let Some(named) = Self::named(config).await? {
            return Ok(named);
        }
        let cluster = Cluster::start(options(config))
            .await
            .context("starting the private Postgres (set DATABASE_URL to use another one)")?;
        tracing::info!(postgres.data_dir = %cluster.data_dir().display(), postgres.major = cluster.major(), "private Postgres is up");
        Ok(Self {
            route: cluster.connect_options().into(),
            cluster: Some(cluster),
        })
    }

    /// The database of a command that administers one. None is made for it: on a machine where `DATABASE_URL` was forgotten, the
    /// answer would be about a database that is not the one that was meant.
    pub async fn existing(config: &Config) -> anyhow::Result<Self> {
        if config.database.named().is_none() {
            let (place, is_there) = Cluster::find(config.database.embedded.data_dir.as_deref())?;
            anyhow::ensure!(
                is_there,
                "no database is named, and there is no private one in {}\nhint: set DATABASE_URL (or database.url, or --database-url); \
                 `postrider serve`, without it, makes a private one",
                place.display()
            );
            tracing::info!(postgres.data_dir = %place.display(), "no database is named (DATABASE_URL); this is about the private one");
        }
        Self::attach(config).await
    }

    /// The same for a command that may make a database, beside a running `serve`: our own Postgres is used where it runs, and started
    /// for the time of the command where it does not.
    pub async fn attach(config: &Config) -> anyhow::Result<Self> {
        if let Some(named) = Self::named(config).await? {
            return Ok(named);
        }
        match Cluster::start(options(config)).await {
            Ok(cluster) => Ok(Self {
                route: cluster.connect_options().into(),
                cluster: Some(cluster),
            }),
            Err(embedded::Error::InUse { .. }) => {
                let options =
                    Cluster::options_of_running(config.database.embedded.data_dir.as_deref())?;
                until_up(&options).await?;
                Ok(Self {
                    route: options.into(),
                    cluster: None,
                })
            }
            Err(error) => Err(error)
                .context("starting the private Postgres (set DATABASE_URL to use another one)"),
        }
    }

    /// Starts our own Postgres again whenever it has ended by itself.
    pub async fn keep_up(&mut self, config: &Config) -> Infallible {
        let Some(cluster) = &self.cluster else {
            return std::future::pending().await;
        };
        cluster.exited().await;
        loop {
            tracing::error!("the private Postgres has ended: starting it again");
            // It holds the lock on its directory.
            self.cluster = None;
            sleep(RESTART_PAUSE).await;
            let cluster = loop {
                match start_again(config).await {
                    Ok(cluster) => break cluster,
                    Err(error) => {
                        tracing::error!(error = %Causes(&error), "the private Postgres does not start; trying on");
                        sleep(RESTART_PAUSE).await;
                    }
                }
            };
            tracing::info!("private Postgres is up again");
            self.cluster.insert(cluster).exited().await;
        }
    }

    /// A small pool for a command.
    pub fn database(&self) -> Database {
        Database::open(self.route.clone(), Purpose::Command, 4)
    }

    /// Stops our own Postgres, where it is ours.
    pub async fn close(self) {
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }

    /// The one that was named. A way past the pooler, where there is one, is the better one for everything we do: what is
    /// prepared there lasts, and what wakes us arrives.
    async fn named(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some((key, url)) = config.database.named() else {
            return Ok(None);
        };
        // The driver's message could quote the URL, password and all.
        let options = ConnectOptions::from_str(url.expose_secret()).map_err(|_| {
            anyhow::anyhow!(
                "{key} cannot be used: it is postgres://user:password@host:port/database"
            )
        })?;
        let route = Route::explored(options).await;
        if route.line == Line::Pooled {
            tracing::warn!(
                "{key} leads through a pooler: every statement takes a transaction of its own, and nothing wakes the \
                 workers. Set database.direct_url to a connection past the pooler"
            );
        }
        Ok(Some(Self {
            route,
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

/// Starts our own Postgres over the data that it had. Where that has gone, with a volume for one, an empty one would only hide it.
async fn start_again(config: &Config) -> Result<Cluster, embedded::Error> {
    let (data_dir, is_there) = Cluster::find(config.database.embedded.data_dir.as_deref())?;
    if !is_there {
        return Err(embedded::Error::Vanished { data_dir });
    }
    Cluster::start(options(config)).await
}

/// What the configuration says of our own Postgres.
fn options(config: &Config) -> embedded::Options {
    embedded::Options {
        data_dir: config.database.embedded.data_dir.clone(),
        binaries: config.database.embedded.bin_dir.clone(),
        ..embedded::Options::default()
    }
}
