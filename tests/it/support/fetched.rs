//! What tests need from elsewhere: it goes into our target directory, once for all, and nothing is installed on the machine.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of this name, which `fetch` fills where it is not there yet. None where that fails.
pub(crate) async fn fetched(name: &str, fetch: impl AsyncFnOnce(&Path) -> bool) -> Option<PathBuf> {
    let below = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = below.join(name);
    if directory.is_dir() {
        return Some(directory);
    }
    let scratch = tempfile::tempdir_in(below).unwrap();
    if !fetch(scratch.path()).await {
        return None;
    }
    // Another test may do the same, so it appears when it is whole; and whoever is second is as well served.
    let whole = scratch.keep();
    if fs::rename(&whole, &directory).is_err() {
        drop(fs::remove_dir_all(&whole));
    }
    directory.is_dir().then_some(directory)
}
