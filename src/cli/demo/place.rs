//! A directory for the demo's Postgres: new at each run, gone at the end.
//!
//! What a killed demo leaves behind, the next one removes. Its own directory is held by a lock, and only directories of
//! our own that nobody holds are removed: in a directory everyone may write to, nobody else can make one that is ours.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::unistd::geteuid;

/// The start of its name; a random number follows.
const NAME: &str = "postrider-demo-";
/// What the kernel grants the name of a socket leaves this much for the directory ours is made in.
const PARENT_BYTES_MAX: usize = 48;
/// Between making the directory and locking it lies a moment in which it looks abandoned.
const ABANDONED_AFTER: Duration = Duration::from_mins(1);

/// The directory.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    /// Held as long as the demo runs.
    _held: File,
}

impl Place {
    /// Makes it, after removing what earlier demos left.
    pub(super) fn create() -> anyhow::Result<Self> {
        let parents: Vec<PathBuf> = parents().into_iter().filter(|path| suits(path)).collect();
        for parent in &parents {
            remove_abandoned(parent);
        }
        let mut refused = anyhow::anyhow!("neither TMPDIR nor /var/tmp nor /tmp can be used");
        for parent in &parents {
            match make_in(parent) {
                Ok(place) => return Ok(place),
                Err(error) => refused = error,
            }
        }
        Err(refused.context("there is no place for the demo's Postgres"))
    }

    /// Where Postgres keeps its data.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.directory.join("db")
    }

    /// The whole of it.
    pub(super) fn path(&self) -> &Path {
        &self.directory
    }

    /// Removes it with everything in it.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("removing {}", self.directory.display()))
    }
}

/// Where it may be made. `/tmp` comes last: it is often memory, where flushing to disk costs nothing and shows nothing.
fn parents() -> Vec<PathBuf> {
    let wished = std::env::var_os("TMPDIR").map(PathBuf::from);
    wished
        .into_iter()
        .chain(["/var/tmp".into(), "/tmp".into()])
        .collect()
}

/// Whether a server's socket fits there, and whoever the server runs as may go there.
fn suits(parent: &Path) -> bool {
    let open = |directory: &Path| {
        fs::metadata(directory)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.mode() & 0o001 != 0)
    };
    parent.is_absolute()
        && parent.as_os_str().len() <= PARENT_BYTES_MAX
        && (!geteuid().is_root() || parent.ancestors().all(open))
}

/// Makes one. Others may pass through it, to a data directory that is closed to them.
fn make_in(parent: &Path) -> anyhow::Result<Place> {
    let directory = parent.join(format!("{NAME}{:08x}", rand::random::<u32>()));
    DirBuilder::new()
        .mode(0o711)
        .create(&directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    let held = File::open(&directory).context("opening the demo's directory")?;
    held.try_lock().context("locking the demo's directory")?;
    Ok(Place {
        directory,
        _held: held,
    })
}

/// Removes what killed demos of this user left. What cannot be removed stays: it is in nobody's way.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(NAME);
        if ours && is_abandoned(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether it is ours and nobody holds it.
fn is_abandoned(directory: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(directory) else {
        return false;
    };
    let age = metadata
        .modified()
        .ok()
        .and_then(|changed| changed.elapsed().ok());
    metadata.is_dir()
        && metadata.uid() == geteuid().as_raw()
        && age.is_some_and(|age| age > ABANDONED_AFTER)
        && File::open(directory).is_ok_and(|held| held.try_lock().is_ok())
}
