//! A private Postgres of our own, for those who name no database.
//!
//! [`Cluster::start`] finds the programs of a PostgreSQL 14 to 18 (or installs them), makes a cluster on the first start,
//! starts a server that listens on a Unix socket only, and hands out what is needed to connect. The superuser, who owns
//! everything in it, and the database are both called `postrider`. Nobody else on the machine can reach the socket: its
//! directory belongs to the account the server runs as, and is closed to all others. That is why no password is asked.
//!
//! Four things make it safe to kill us at any moment:
//!
//! - The kernel sends the server a fast shutdown when we die (`PR_SET_PDEATHSIG`). It does so when the *thread* that
//!   started it ends, so one thread of its own starts the server and lives as long as it does.
//! - A cluster is made beside its place and renamed into it, so a half-made one is never taken for a whole one.
//! - Every process of a server inherits a lock of ours. While one of them lives, no second server starts there; when none
//!   does, the pid file they left is known to be stale, even where Postgres itself must believe it (a recycled number in a
//!   container, a zombie nobody reaps).
//! - Commits are flushed to disk as in any Postgres, unless [`Options::durable`] is off.
//!
//! Postgres refuses to run as root. As root we start it as the owner of the data directory, which on the first start
//! becomes `postgres`, or `nobody` where there is no such user. Rights are dropped by our own program, in a hidden
//! subcommand that becomes the server: see [`exec`].

mod account;
mod directory;
mod error;
pub mod exec;
mod find;
mod initdb;
pub mod install;
mod launcher;
mod locks;
mod options;
mod server;
mod start;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use directory::Directory;
use find::Binaries;
use server::Server;

pub use error::Error;
pub use options::Options;

/// The superuser and owner of everything in the cluster.
pub const USER: &str = "postrider";
/// The database we keep everything in.
pub const DATABASE: &str = "postrider";
/// Only a part of the socket's name: nothing listens on the network.
const PORT: u16 = 5432;
/// A fast shutdown flushes everything; it is given this long before we stop asking nicely.
const STOP_FAST: Duration = Duration::from_secs(20);
/// After an immediate shutdown the next start recovers from the log.
const STOP_IMMEDIATE: Duration = Duration::from_secs(5);

/// A running private Postgres. It stops when this is dropped or when our process ends, however it ends.
#[derive(Debug)]
pub struct Cluster {
    directory: Directory,
    binaries: Binaries,
    server: Server,
    /// Keeps a second one of us out of the data directory.
    _ours: File,
}

impl Cluster {
    /// Starts the server, after making the cluster and its database where they do not exist.
    pub async fn start(options: Options) -> Result<Cluster, Error> {
        let cluster = server::keep(options).await?;
        cluster.create_database().await?;
        Ok(cluster)
    }

    /// How to connect to our database.
    pub fn connect_options(&self) -> PgConnectOptions {
        connect_options(&self.directory)
    }

    /// Where a cluster keeps its data, and whether there is one yet.
    pub fn find(data_dir: Option<&Path>) -> Result<(PathBuf, bool), Error> {
        let directory = Directory::choose(data_dir)?;
        Ok((directory.root().to_owned(), directory.has_cluster()))
    }

    /// How to connect to a cluster that another process of ours is running there.
    pub fn options_of_running(data_dir: Option<&Path>) -> Result<PgConnectOptions, Error> {
        Ok(connect_options(&Directory::choose(data_dir)?))
    }

    /// The same as an URL, for another process of ours or for a tool.
    pub fn url(&self) -> String {
        let socket = self.directory.socket();
        let host: String =
            url::form_urlencoded::byte_serialize(socket.as_os_str().as_encoded_bytes()).collect();
        // The form encoding writes a space as `+`, which a host does not mean.
        let host = host.replace('+', "%20");
        format!("postgres://{USER}@{host}:{PORT}/{DATABASE}?sslmode=disable")
    }

    /// The line a person can paste to look inside. It serves root as well: root may enter the closed socket directory.
    pub fn psql_command(&self) -> String {
        let own = self.binaries.directory.join("psql");
        let psql = if own.exists() {
            own
        } else {
            PathBuf::from("psql")
        };
        psql_command(&psql, &self.directory)
    }

    /// The same for a cluster that another process of ours is running there.
    pub fn psql_command_of_running(data_dir: Option<&Path>) -> Result<String, Error> {
        Ok(psql_command(
            Path::new("psql"),
            &Directory::choose(data_dir)?,
        ))
    }

    /// Where it keeps its files.
    pub fn data_dir(&self) -> &Path {
        self.directory.root()
    }

    /// The process id of the server.
    pub fn process_id(&self) -> u32 {
        self.server.process_id().as_raw().unsigned_abs()
    }

    /// The major version of the server.
    pub fn major(&self) -> u32 {
        self.binaries.major
    }

    /// Answers when the server has ended, by itself or by us.
    pub async fn exited(&self) {
        self.server.exited().await;
    }

    /// Stops the server in order: sessions are ended, everything is flushed. What does not end in time is ended harder,
    /// and then recovers at the next start; nothing that was committed is lost either way.
    pub async fn stop(self) {
        for (signal, patience) in [
            (Signal::SIGINT, STOP_FAST),
            (Signal::SIGQUIT, STOP_IMMEDIATE),
        ] {
            self.server.signal(signal);
            if tokio::time::timeout(patience, self.server.exited())
                .await
                .is_ok()
            {
                return;
            }
            tracing::warn!(signal = %signal, "the private Postgres did not stop in {patience:?}");
        }
        self.server.signal(Signal::SIGKILL);
        self.server.exited().await;
    }

    /// Makes our database, once. What its user makes there is to be in `public`: by default a schema that is called as the role
    /// comes first, and that is the one of our own tables.
    async fn create_database(&self) -> Result<(), Error> {
        let administration = self.connect_options().database("postgres");
        let mut connection = administration.connect().await?;
        let (exists, is_set): (bool, bool) = sqlx::query_as(
            "select count(database.oid) > 0, count(setting.setdatabase) > 0
             from pg_database database left join pg_db_role_setting setting on setting.setdatabase = database.oid and setting.setrole = 0
             where database.datname = $1",
        )
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await?;
        if !exists {
            let create = AssertSqlSafe(format!("create database {DATABASE}"));
            sqlx::raw_sql(create).execute(&mut connection).await?;
        }
        if !is_set {
            let set = AssertSqlSafe(format!(
                "alter database {DATABASE} set search_path = public"
            ));
            sqlx::raw_sql(set).execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Not waited for: the server's thread sees it out, and if we end first the kernel asks once more.
        self.server.signal(Signal::SIGINT);
    }
}

/// The line for a cluster in a directory.
fn psql_command(psql: &Path, directory: &Directory) -> String {
    format!(
        "{} -h {} -p {PORT} -U {USER} {DATABASE}",
        quoted(psql),
        quoted(&directory.socket())
    )
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// How to connect to the cluster in a directory.
fn connect_options(directory: &Directory) -> PgConnectOptions {
    // sqlx reads PGUSER and its like from the environment first: everything that matters is said here.
    PgConnectOptions::new_without_pgpass()
        .socket(directory.socket())
        .port(PORT)
        .username(USER)
        .database(DATABASE)
        .ssl_mode(PgSslMode::Disable)
}
