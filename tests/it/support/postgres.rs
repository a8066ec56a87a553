//! A Postgres for the tests: one server for the whole process, a fresh database for each test.
//!
//! The server is our own embedded one, made in a temporary directory; the kernel ends it when the test process ends,
//! however it ends. `TEST_DATABASE_URL` names another server to use, as a superuser or one who may create databases;
//! `TEST_POSTGRES_BIN` names the directory of another PostgreSQL's programs, for all servers that tests start.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postrider::db::embedded::{Cluster, Options};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

/// The start of the names of our temporary directories; the process id follows.
const DIRECTORY: &str = "postrider-test-";

/// Numbers whatever must have a name of its own in this process.
static NEXT: AtomicU32 = AtomicU32::new(0);
/// The server all tests share.
static SHARED: OnceCell<Shared> = OnceCell::const_new();

/// A database of a test's own. It is left behind: the server goes with the process, and dropping costs time.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    options: PgConnectOptions,
}

impl TestDatabase {
    /// One that is reached in this way.
    pub(crate) fn at(options: PgConnectOptions) -> TestDatabase {
        TestDatabase { options }
    }

    /// How to connect to it.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// A small pool.
    pub(crate) async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(10)
            .connect_with(self.options())
            .await
            .unwrap()
    }

    /// One connection.
    pub(crate) async fn connection(&self) -> PgConnection {
        self.options.connect().await.unwrap()
    }

    /// A copy of it, as a restore makes one. Nobody may be connected.
    pub(crate) async fn copy(&self) -> TestDatabase {
        let shared = SHARED
            .get()
            .expect("the server is there: we have a database in it");
        let name = unique_name("postrider_copy");
        let ours = self.options.get_database().expect("it has a name");
        shared.create(&name, ours).await;
        TestDatabase {
            options: shared.server.clone().database(&name),
        }
    }

    /// An URL for another role.
    pub(crate) fn url_as(&self, role: &str) -> String {
        self.options
            .clone()
            .username(role)
            .to_url_lossy()
            .to_string()
    }

    /// The same as an URL, as a configuration names it.
    pub(crate) fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }
}

/// A fresh database, with our migrations applied.
pub(crate) async fn database() -> TestDatabase {
    let shared = SHARED.get_or_init(Shared::start).await;
    let name = unique_name("postrider_test");
    shared.create(&name, &shared.template).await;
    TestDatabase {
        options: shared.server.clone().database(&name),
    }
}

/// A fresh database with nothing in it.
pub(crate) async fn empty_database() -> TestDatabase {
    let shared = SHARED.get_or_init(Shared::start).await;
    let name = unique_name("postrider_test");
    shared.create(&name, "template0").await;
    TestDatabase {
        options: shared.server.clone().database(&name),
    }
}

/// What is done once, to the database the others are copies of.
async fn prepare_template(template: &PgConnectOptions) {
    postrider::db::migrate::run(template).await.unwrap();
}

/// The server of the whole process.
#[derive(Debug)]
struct Shared {
    /// How to connect to its administrative database.
    server: PgConnectOptions,
    /// The database the others are copies of.
    template: String,
    /// Never dropped, as nothing static is: the kernel stops the server when this process ends.
    _cluster: Option<Cluster>,
}

impl Shared {
    /// Starts it, and builds the template.
    async fn start() -> Shared {
        let (server, cluster) = if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
            (PgConnectOptions::from_str(&url).unwrap(), None)
        } else {
            // Torn pages come from a machine that dies, and then so does the test.
            let cluster = throw_away(
                own_directory().join("shared"),
                &[("full_page_writes", "off")],
            )
            .await;
            (cluster.connect_options(), Some(cluster))
        };
        let template = unique_name("postrider_template");
        let shared = Shared {
            server,
            template,
            _cluster: cluster,
        };
        shared.create(&shared.template, "template0").await;
        prepare_template(&shared.server.clone().database(&shared.template)).await;
        shared
    }

    /// Makes a database as a copy of another.
    async fn create(&self, name: &str, template: &str) {
        let mut connection = self.server.connect().await.unwrap();
        let create = AssertSqlSafe(format!("create database {name} template {template}"));
        sqlx::raw_sql(create)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

/// A server of a test's own, to be killed and started again. What was committed outlives the kill.
#[derive(Debug)]
pub(crate) struct OwnCluster {
    directory: PathBuf,
    cluster: Option<Cluster>,
}

impl OwnCluster {
    /// Starts an empty one.
    pub(crate) async fn start() -> OwnCluster {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = own_directory().join(format!("own-{number}"));
        let cluster = Some(throw_away(directory.clone(), &[]).await);
        OwnCluster { directory, cluster }
    }

    /// The running server.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().expect("the server runs")
    }

    /// How to connect to the database with our migrations; the same before and after a restart.
    pub(crate) async fn database(&self) -> TestDatabase {
        let options = self.cluster().connect_options();
        prepare_template(&options).await;
        TestDatabase { options }
    }

    /// Kills the server as the kernel would when memory runs out. Every session is cut, nothing is flushed.
    pub(crate) async fn kill_immediately(&mut self) {
        self.signal(Signal::SIGKILL);
        self.ended().await;
    }

    /// Sends the server a signal: SIGQUIT is what `pg_ctl stop -m immediate` sends.
    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.cluster().process_id().cast_signed();
        kill(Pid::from_raw(process), signal).unwrap();
    }

    /// Waits until the server has ended.
    pub(crate) async fn ended(&mut self) {
        let cluster = self.cluster.take().expect("the server runs");
        cluster.exited().await;
    }

    /// A standby that streams from it. Both are the same server until one of them is lost.
    pub(crate) async fn with_standby(&mut self) -> OwnCluster {
        self.stop().await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = own_directory().join(format!("own-{number}"));
        let copied = Command::new("cp")
            .arg("-a")
            .args([&self.directory, &directory])
            .status()
            .unwrap();
        assert!(copied.success());
        let signal = directory.join("cluster/standby.signal");
        std::fs::write(&signal, "").unwrap();
        let owner = std::fs::metadata(directory.join("cluster")).unwrap();
        chown(&signal, Some(owner.uid()), Some(owner.gid())).unwrap();
        self.start_again().await;
        let primary = self.cluster().connect_options();
        let to_primary = format!(
            "host={} port={} user={}",
            primary.get_socket().expect("a socket").display(),
            primary.get_port(),
            primary.get_username()
        );
        let settings = [("primary_conninfo", to_primary.as_str())];
        let cluster = Some(throw_away(directory.clone(), &settings).await);
        OwnCluster { directory, cluster }
    }

    /// Stops the server in order.
    pub(crate) async fn stop(&mut self) {
        self.cluster.take().expect("the server runs").stop().await;
    }

    /// Starts it again, on the same data and the same socket.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.cluster.is_none(), "the server still runs");
        self.cluster = Some(throw_away(self.directory.clone(), &[]).await);
    }
}

/// A server that flushes nothing to disk.
async fn throw_away(data_dir: PathBuf, settings: &[(&str, &str)]) -> Cluster {
    let common = [
        ("max_connections", "400"),
        ("shared_buffers", "128MB"),
        ("max_wal_size", "4GB"),
        ("wal_level", "logical"),
        ("max_prepared_transactions", "10"),
    ];
    let settings = common
        .iter()
        .chain(settings)
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Cluster::start(Options {
        data_dir: Some(data_dir),
        durable: false,
        settings,
        ..options()
    })
    .await
    .unwrap()
}

/// The options of every cluster in the tests: this process is not Postrider, so its program is named.
pub(crate) fn options() -> Options {
    Options {
        executable: env!("CARGO_BIN_EXE_postrider").into(),
        binaries: std::env::var_os("TEST_POSTGRES_BIN").map(PathBuf::from),
        ..Options::default()
    }
}

/// The temporary directory of this process.
pub(crate) fn own_directory() -> &'static Path {
    /// Made on first use, after sweeping up behind others.
    static OWN: LazyLock<PathBuf> = LazyLock::new(|| {
        remove_stale_directories();
        let own = std::env::temp_dir().join(format!("{DIRECTORY}{}", std::process::id()));
        std::fs::create_dir(&own).unwrap();
        own
    });
    &OWN
}

/// A name no other test and no other process on this server uses.
fn unique_name(prefix: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{prefix}_{}_{:08x}_{number}",
        std::process::id(),
        rand::random::<u32>()
    )
}

/// Removes what earlier processes left: a process has no last word in which to do so itself.
fn remove_stale_directories() {
    for entry in std::fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(DIRECTORY)) else {
            continue;
        };
        // An earlier process may have had our own number: nothing of ours exists yet.
        let ours = owner == std::process::id().to_string();
        if ours || !Path::new("/proc").join(owner).exists() {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}
