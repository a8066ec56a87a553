//! Prometheus's own checker.
//!
//! Where the machine has none, it is taken out of Debian's package into our target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::package::unpack;
use super::skip::skipped;

/// Where it is, if it is to be had; looked for once.
static PROMTOOL: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Promtool, ready to be given arguments. None if there is none to be had; then the test is skipped.
pub(crate) fn promtool_or_skipped() -> Option<Command> {
    let found = PROMTOOL.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promtool");
        let candidates = ["promtool".into(), kept.clone()];
        let found = candidates.into_iter().find(|path| runs(path));
        found.or_else(|| take(&kept).ok().filter(|()| runs(&kept)).map(|()| kept))
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
fn take(to: &Path) -> std::io::Result<()> {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    unpack(&["prometheus"], scratch.path())?;
    // Another test run may do the same: the name appears with the whole file behind it.
    fs::rename(scratch.path().join("usr/bin/promtool"), to)
}
