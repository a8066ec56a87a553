//! Prometheus's own checker.
//!
//! Where the machine has none, it is taken out of Debian's package into our target directory: nothing is installed and no
//! service started, so no rights are needed either.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::skip::skipped;

/// Where it is, if it is to be had; looked for once.
static PROMTOOL: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Promtool, ready to be given arguments. None if there is none to be had; then the test is skipped.
pub(crate) fn promtool_or_skipped() -> Option<Command> {
    let found = PROMTOOL.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promtool");
        let candidates = ["promtool".into(), kept.clone()];
        let found = candidates.into_iter().find(|path| runs(path));
        found.or_else(|| unpack(&kept).ok().filter(|()| runs(&kept)).map(|()| kept))
    });
    if found.is_none() {
        skipped("there is no promtool, and apt has no package prometheus to take it from");
    }
    found.as_ref().map(Command::new)
}

/// Whether it is there and can be run.
fn runs(path: &Path) -> bool {
    let version = Command::new(path).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Takes it out of the package.
fn unpack(to: &Path) -> std::io::Result<()> {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let scratch = scratch.path();
    if !apt(scratch, &["download", "prometheus"], false) {
        // The machine's own lists of packages are missing or stale; ours cost a download, and no lock.
        apt(scratch, &["update"], true);
        apt(scratch, &["download", "prometheus"], true);
    }
    let package = fs::read_dir(scratch)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .ok_or(std::io::ErrorKind::NotFound)?;
    Command::new("dpkg-deb")
        .arg("-x")
        .args([&package, scratch])
        .status()?;
    // Another test run may do the same: the name appears with the whole file behind it.
    fs::rename(scratch.join("usr/bin/promtool"), to)
}

/// Runs apt-get in a directory, with the machine's lists of packages or with lists of our own.
fn apt(directory: &Path, arguments: &[&str], own_lists: bool) -> bool {
    let mut command = Command::new("apt-get");
    command
        .current_dir(directory)
        .arg("-qq")
        .args(["-o", "APT::Sandbox::User="]);
    if own_lists {
        for (key, value) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            let path = directory.join(value);
            drop(fs::create_dir_all(path.join("partial")));
            command.args(["-o", &format!("{key}={}", path.display())]);
        }
    }
    let output = command.args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}
