//! Clients from npm, as their users install them, with all they need.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::fetched::fetched;
use super::skip::skipped;

/// A Node that finds some packages.
pub(crate) struct Node {
    packages: PathBuf,
}

impl Node {
    /// With this package, with its version (`ws@8.18.0`). None where it is not to be had; then the test is skipped.
    pub(crate) async fn with_or_skipped(package: &str) -> Option<Self> {
        let name = format!("node-{}", package.replace(['@', '/'], "_"));
        if let Some(packages) = fetched(&name, async |to| install(package, to).await).await {
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

async fn install(package: &str, to: &Path) -> bool {
    let installed = Command::new("npm")
        .args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ])
        .arg(to)
        .arg(package)
        .stdin(Stdio::null())
        .output()
        .await;
    installed.is_ok_and(|output| output.status.success())
}
