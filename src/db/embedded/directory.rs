//! The data directory, and what lies where in it.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::{Error, PORT};

/// What the kernel leaves for the name of a Unix socket, after its closing zero.
const SOCKET_BYTES_MAX: usize = 107;
/// A log larger than this is set aside at the next start.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The data directory: `cluster/`, `socket/`, `postgres.log` and two locks.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The chosen directory, or the usual one.
    pub(super) fn choose(chosen: Option<&Path>) -> Result<Directory, Error> {
        let root = match chosen {
            Some(path) => path.to_owned(),
            None => state_dir("XDG_DATA_HOME", ".local/share")?.join("db"),
        };
        // Made absolute here, since the server is started elsewhere.
        let root = std::path::absolute(&root).map_err(Error::system("resolve", root))?;
        let directory = Directory { root };
        let socket = directory.socket_file();
        let length = socket.as_os_str().len();
        if length > SOCKET_BYTES_MAX {
            return Err(Error::SocketTooLong {
                path: socket,
                length,
            });
        }
        Ok(directory)
    }

    /// Makes it, and gives it to the account. Never takes over a directory that holds other things.
    pub(super) fn prepare(&self, account: &Account) -> Result<(), Error> {
        if self.is_foreign()? {
            return Err(Error::Foreign {
                path: self.root.clone(),
            });
        }
        account.own_directory(&self.root)?;
        account.check_way_to(&self.root)
    }

    /// The whole of it.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What Postgres calls its data directory.
    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// Where a cluster is made, before it is renamed.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.root.join("cluster.unfinished")
    }

    /// The directory of the socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.root.join("socket")
    }

    /// The socket itself.
    pub(super) fn socket_file(&self) -> PathBuf {
        self.socket().join(format!(".s.PGSQL.{PORT}"))
    }

    /// What the server has to say.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Where a server says who it is and whether it is ready.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.cluster().join("postmaster.pid")
    }

    /// Opens one of our two lock files.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, Error> {
        let path = self.root.join(name);
        let opened = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path);
        opened.map_err(Error::system("open", path))
    }

    /// Whether there is a cluster, or one being made. Where we may not look, that is for the start to say.
    pub(super) fn has_cluster(&self) -> bool {
        [self.cluster(), self.unfinished()]
            .iter()
            .any(|path| path.try_exists().unwrap_or(true))
    }

    /// The major version that wrote the cluster, if there is one.
    pub(super) fn major(&self) -> Option<u32> {
        let version = fs::read_to_string(self.cluster().join("PG_VERSION")).ok()?;
        version.trim().parse().ok()
    }

    /// Opens the log to append to, after setting a large one aside.
    pub(super) fn open_log(&self) -> Result<File, Error> {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            fs::rename(&path, self.root.join("postgres.log.old"))
                .map_err(Error::system("set aside", &path))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::system("open", path))
    }

    /// Whether it holds anything, and nothing of ours. (`lost+found` is what an empty volume begins with.)
    fn is_foreign(&self) -> Result<bool, Error> {
        if self.cluster().exists()
            || self.root.join(super::locks::OURS).exists()
            || !self.root.exists()
        {
            return Ok(false);
        }
        let entries = fs::read_dir(&self.root).map_err(Error::system("read", &self.root))?;
        Ok(entries
            .flatten()
            .any(|entry| entry.file_name() != "lost+found"))
    }
}

/// Where this user keeps things of ours: `/var/lib/postrider` as root, else below the directory the variable names.
pub(super) fn state_dir(variable: &str, usual: &str) -> Result<PathBuf, Error> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/postrider"));
    }
    // The XDG rules: a relative path is as good as none.
    let named = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || {
        std::env::home_dir()
            .filter(|home| home.is_absolute())
            .map(|home| home.join(usual))
    };
    named
        .or_else(home)
        .map(|path| path.join("postrider"))
        .ok_or(Error::NoHome)
}
