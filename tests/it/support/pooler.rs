//! `PgBouncer` before the test's Postgres, as strict as it comes: it refuses every start-up parameter it does not know.
//!
//! Where the machine has none, it is taken out of Debian's package into our target directory.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::OnceLock;

use nix::unistd::{Uid, User};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::package::unpack;
use super::skip::skipped;
use super::wait::{PATIENCE, until};

/// What lends a server to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    /// A transaction; the server that was used last comes first.
    Transaction,
    /// A transaction; the servers take turns, so that hardly two in a row come from the same one.
    TransactionInTurns,
    /// A client, as long as it is connected.
    Session,
}

/// How many servers the pooler has; in transaction mode all clients share them.
pub(crate) const SERVERS: usize = 4;

/// The pooler; dropping it ends it, and with it every connection.
#[derive(Debug)]
pub(crate) struct Pooler {
    child: Child,
    options: PgConnectOptions,
    directory: TempDir,
}

impl Pooler {
    /// One before this database. None if the program is not to be had; then the test is skipped.
    pub(crate) async fn before_or_skipped(to: &PgConnectOptions, mode: Mode) -> Option<Pooler> {
        let Some(program) = program() else {
            skipped("there is no pgbouncer, and apt has no package to take it from");
            return None;
        };
        let port = free_port();
        let directory = tempfile::tempdir().unwrap();
        let settings = directory.path().join("pgbouncer.ini");
        fs::write(&settings, configuration(to, port, mode)).unwrap();
        let mut command = Command::new(&program.path);
        if let Some(user) = other_user(to) {
            command.args(["-u", &user]);
        }
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = command
            .arg(&settings)
            .env("LD_LIBRARY_PATH", &program.libraries)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(to.get_username())
            .database(to.get_database().expect("a database"))
            .ssl_mode(PgSslMode::Disable);
        let mut pooler = Pooler {
            child,
            options,
            directory,
        };
        pooler.until_up().await;
        Some(pooler)
    }

    /// How to connect through it.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone().extra_float_digits(None)
    }

    /// The same as an URL, as a configuration names it.
    pub(crate) fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    /// Waits until it lets us in.
    async fn until_up(&mut self) {
        until("the pooler lets us in", PATIENCE, async || {
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert!(ended.is_none(), "the pooler ended: {}", log());
            match self.options().connect().await {
                Ok(connection) => connection.close().await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Ended already, or of no more use.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What it is to do.
fn configuration(to: &PgConnectOptions, port: u16, mode: Mode) -> String {
    let host = to.get_socket().map_or_else(
        || to.get_host().to_owned(),
        |directory| directory.display().to_string(),
    );
    let url = url::Url::from_str(to.to_url_lossy().as_str()).unwrap();
    let password = url
        .password()
        .map(|password| format!(" password={password}"))
        .unwrap_or_default();
    let (pool_mode, in_turns) = match mode {
        Mode::Transaction => ("transaction", 0),
        Mode::TransactionInTurns => ("transaction", 1),
        Mode::Session => ("session", 0),
    };
    // In session mode each client wants a server of its own.
    let servers = match mode {
        Mode::Transaction | Mode::TransactionInTurns => SERVERS,
        Mode::Session => 50,
    };
    format!(
        "[databases]
* = host={host} port={server_port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {pool_mode}
server_round_robin = {in_turns}
default_pool_size = {servers}
min_pool_size = {servers}
max_client_conn = 200
",
        server_port = to.get_port(),
        user = to.get_username(),
    )
}

/// Who may enter the directory of Postgres's socket, where we are root: it refuses to be.
fn other_user(to: &PgConnectOptions) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let owner = to
        .get_socket()
        .and_then(|directory| fs::metadata(directory).ok())
        .and_then(|metadata| User::from_uid(Uid::from_raw(metadata.uid())).ok()?);
    Some(owner.map_or_else(|| "nobody".to_owned(), |user| user.name))
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The program, and where it finds what it is linked with.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    libraries: PathBuf,
}

/// Where it is, if it is to be had; looked for once.
fn program() -> Option<&'static Program> {
    static PROGRAM: OnceLock<Option<Program>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pgbouncer");
            installed(Path::new("/")).or_else(|| {
                installed(&kept).or_else(|| take(&kept).ok().and_then(|()| installed(&kept)))
            })
        })
        .as_ref()
}

/// The one under this root, if it runs.
fn installed(root: &Path) -> Option<Program> {
    let architecture = std::env::consts::ARCH;
    let program = Program {
        path: root.join("usr/sbin/pgbouncer"),
        libraries: root.join(format!("usr/lib/{architecture}-linux-gnu")),
    };
    let version = Command::new(&program.path)
        .arg("--version")
        .env("LD_LIBRARY_PATH", &program.libraries)
        .output();
    version
        .is_ok_and(|output| output.status.success())
        .then_some(program)
}

/// Takes it out of its package, with the libraries that only it needs.
fn take(to: &Path) -> std::io::Result<()> {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let whole = scratch.path().join("pgbouncer");
    unpack(&["pgbouncer"], &whole)?;
    for library in [
        "libcares2",
        "libc-ares2",
        "libevent-2.1-7",
        "libevent-2.1-7t64",
    ] {
        // Some of the names are another release's.
        drop(unpack(&[library], &whole));
    }
    // Another test run may do the same: the name appears with everything behind it.
    fs::rename(&whole, to)
}
