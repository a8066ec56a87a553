//! Where a benchmark plays: a database of its own, and everything that has to be tidied away afterwards.

use std::path::PathBuf;

use anyhow::Context;
use secrecy::ExposeSecret;

use super::machine::{self, Machine};
use super::report::Report;
use crate::cli::Globals;
use crate::config::Config;
use crate::crypto::SigningSecret;
use crate::db::embedded::{Cluster, Options};
use crate::db::{ConnectOptions, Database, Purpose, bench, migrate};
use crate::source::Source;

/// What the throw-away server is started with beside our usual settings: what a small server of its own would have.
const SETTINGS: &[(&str, &str)] = &[
    ("max_connections", "300"),
    ("shared_buffers", "512MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
];
/// Connections of the benchmark itself.
const CONNECTIONS: u32 = 8;

/// A database of its own.
#[derive(Debug)]
pub(super) struct Stage {
    /// To measure and prepare with, under the settings of a worker.
    pub database: Database,
    /// How to connect.
    pub options: ConnectOptions,
    /// The same as an URL, for other processes.
    pub url: String,
    /// What every endpoint signs with.
    pub secret: SigningSecret,
    /// The server's first process, where it is on this machine.
    postmaster: Option<u32>,
    server: Server,
}

/// Whose server it is.
#[derive(Debug)]
enum Server {
    /// Ours, with its directory.
    ThrowAway(Box<Cluster>, PathBuf),
    /// Somebody's, with the name of our database there.
    Theirs(Box<ConnectOptions>, String),
}

impl Stage {
    /// Sets it up.
    pub(super) async fn open(globals: &Globals) -> anyhow::Result<Self> {
        let config = globals.start()?;
        let (server, options, url) = if config.database.named().is_some() {
            theirs(&config).await?
        } else {
            throw_away(&config).await?
        };
        migrate::run(&options)
            .await
            .context("preparing the schema")?;
        let database = Database::open(bench::silent(options.clone()), Purpose::Worker, CONNECTIONS);
        let backend = u32::try_from(database.bench_backend_pid().await?).unwrap_or(0);
        let postmaster = match &server {
            Server::ThrowAway(cluster, _) => Some(cluster.process_id()),
            Server::Theirs(..) => machine::postmaster_of(backend),
        };
        Ok(Self {
            database,
            options,
            url,
            secret: SigningSecret::generate(&mut rand::rng()),
            postmaster,
            server,
        })
    }

    /// An empty report of what is measured here.
    pub(super) async fn report(&self, bench: &'static str) -> anyhow::Result<Report> {
        let mut postgres = self.database.bench_settings().await?;
        let whose = match self.server {
            Server::ThrowAway(..) => "throw-away, on this machine",
            Server::Theirs(..) => "DATABASE_URL",
        };
        postgres.insert(1, ("server".into(), whose.into()));
        Ok(Report {
            bench,
            command: command(),
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::read(),
            postgres,
            figures: Vec::new(),
            ratios: Vec::new(),
        })
    }

    /// Makes so many endpoints that sign, at one receiver, each with a path of its own.
    pub(super) async fn endpoints(
        &self,
        receiver: std::net::SocketAddr,
        count: usize,
    ) -> anyhow::Result<Vec<i64>> {
        let urls: Vec<String> = (0..count)
            .map(|number| format!("http://{receiver}/{number}"))
            .collect();
        let secret = self.secret.text().expose_secret();
        Ok(self.database.bench_endpoints(&urls, secret).await?)
    }

    /// CPU seconds of the server so far; none where it is elsewhere.
    pub(super) fn postgres_cpu_s(&self) -> Option<f64> {
        self.postmaster.and_then(machine::cpu_of_tree_s)
    }

    /// Tidies away.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.database.close().await;
        match self.server {
            Server::ThrowAway(cluster, directory) => {
                cluster.stop().await;
                std::fs::remove_dir_all(&directory)
                    .with_context(|| format!("removing {}", directory.display()))?;
            }
            Server::Theirs(options, name) => bench::drop_database(&options, &name).await?,
        }
        Ok(())
    }
}

/// A database of our own on the server that was named.
async fn theirs(config: &Config) -> anyhow::Result<(Server, ConnectOptions, String)> {
    let source = Source::open(config).await?;
    let name = format!("postrider_bench_{}", std::process::id());
    let options = bench::create_database(&source.route.options, &name).await?;
    let url = bench::url(&options);
    Ok((
        Server::Theirs(Box::new(source.route.options), name),
        options,
        url,
    ))
}

/// A server of our own, flushing every commit to disk as any other.
async fn throw_away(config: &Config) -> anyhow::Result<(Server, ConnectOptions, String)> {
    let directory = std::env::temp_dir().join(format!("postrider-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("making {}", directory.display()))?;
    let cluster = Cluster::start(Options {
        data_dir: Some(directory.join("db")),
        settings: SETTINGS
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..Options::configured(&config.database.embedded)
    })
    .await
    .context("starting a throw-away Postgres (set DATABASE_URL to use another one)")?;
    let (options, url) = (cluster.connect_options(), cluster.url());
    Ok((
        Server::ThrowAway(Box::new(cluster), directory),
        options,
        url,
    ))
}

/// The command line that repeats this, without what may be a password.
fn command() -> String {
    let mut words = vec!["postrider".to_owned()];
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        if word == "--database-url" {
            arguments.next();
        } else if !word.starts_with("--database-url=") {
            words.push(word);
        }
    }
    words.join(" ")
}
