//! Makes the cluster, once.

use std::fs::{self, File};

use nix::unistd::syncfs;

use super::directory::Directory;
use super::find::Binaries;
use super::launcher::Launcher;
use super::{Error, USER};

/// Makes the cluster if there is none. To be called with both locks held.
pub(super) fn initdb(
    directory: &Directory,
    binaries: &Binaries,
    launcher: &Launcher,
    durable: bool,
) -> Result<(), Error> {
    if directory.major().is_some() {
        return Ok(());
    }
    tracing::info!(data_dir = %directory.root().display(), postgres.major = binaries.major, "making a private Postgres");
    let unfinished = directory.unfinished();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::system("remove", &unfinished))?;
    }
    launcher.account.own_directory(&unfinished)?;
    let target = format!("--pgdata={}", unfinished.display());
    let owner = format!("--username={USER}");
    // Trust, because only those who may enter the socket's directory get that far. No locale: the order of our keys must not
    // change with an update of the system's library. It is written to disk below, with one call instead of a thousand.
    let arguments = [
        &*target,
        &*owner,
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-instructions",
        "--no-sync",
    ];
    launcher.run(&binaries.initdb(), &arguments)?;
    if durable {
        write_to_disk(directory)?;
    }
    let cluster = directory.cluster();
    fs::rename(&unfinished, &cluster).map_err(Error::system("create", &cluster))?;
    if durable {
        write_to_disk(directory)?;
    }
    Ok(())
}

/// Flushes the file system of the data directory.
fn write_to_disk(directory: &Directory) -> Result<(), Error> {
    let root = directory.root();
    let handle = File::open(root).map_err(Error::system("open", root))?;
    syncfs(handle).map_err(|errno| Error::system("write to disk", root)(errno.into()))
}
