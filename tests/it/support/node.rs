//! Clients from npm, as their users install them.
//!
//! They go into a directory of our target directory, with all they need: nothing is installed on the machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::skip::skipped;

/// A Node that finds some packages.
pub(crate) struct Node {
    packages: PathBuf,
}

impl Node {
    /// With this package, with its version (`ws@8.18.0`). None where it is not to be had; then the test is skipped.
    pub(crate) async fn with_or_skipped(package: &str) -> Option<Self> {
        let name = format!("node-{}", package.replace(['@', '/'], "_"));
        let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if packages.is_dir() || install(package, &packages).await {
            return Some(Self { packages });
        }
        skipped(&format!("npm cannot install {package}"));
        None
    }

    /// Starts a program given as text; its arguments stand in `process.argv.slice(1)`. Its errors are shown with the test's own.
    /// It is killed when it is dropped.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new("node");
        command
            .args(["-e", program])
            .args(arguments)
            .env("NODE_PATH", self.packages.join("node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

/// Installs a package; another test run may do the same, so the directory appears when it is whole.
async fn install(package: &str, to: &Path) -> bool {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let installed = Command::new("npm")
        .args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ])
        .arg(scratch.path())
        .arg(package)
        .stdin(Stdio::null())
        .output()
        .await;
    if !installed.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let whole = scratch.keep();
    std::fs::rename(&whole, to).is_ok() || {
        drop(std::fs::remove_dir_all(&whole));
        to.is_dir()
    }
}
