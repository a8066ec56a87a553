//! What may be chosen about the private Postgres.

use std::path::{Path, PathBuf};

use crate::config::Embedded;

/// What may be chosen. The default is what `postrider serve` uses.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it lives; by default `/var/lib/postrider/db` as root, else `postrider/db` among the user's data.
    pub data_dir: Option<PathBuf>,
    /// The directory of `postgres` and `initdb`; by default they are searched for.
    pub binaries: Option<PathBuf>,
    /// Whether to install PostgreSQL where none is found.
    pub install: bool,
    /// Our own program, whose hidden subcommand becomes the server.
    pub executable: PathBuf,
    /// Further server settings; they win over ours.
    pub settings: Vec<(String, String)>,
    /// Whether a commit is flushed to disk. Without it data survives a kill of the server, but not of the machine.
    pub durable: bool,
}

impl Options {
    /// What the configuration says; the rest as usual.
    pub fn configured(embedded: &Embedded) -> Options {
        Options {
            data_dir: embedded.data_dir.clone(),
            binaries: embedded.bin_dir.clone(),
            ..Options::default()
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            data_dir: None,
            binaries: None,
            install: true,
            executable: own_executable(),
            settings: Vec::new(),
            durable: true,
        }
    }
}

/// Our own program. The kernel's link stays right when the file is replaced by a newer one while we run.
fn own_executable() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        return link.to_owned();
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("postrider"))
}
