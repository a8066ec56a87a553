//! Clients from the Python package index, as their users install them.
//!
//! They go into a directory of our target directory, with all they need: nothing is installed on the machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::skip::skipped;

/// A Python that finds some packages.
pub(crate) struct Python {
    packages: PathBuf,
}

impl Python {
    /// With these packages, each with its version (`vzaps==0.1.1`). None where they are not to be had; then the test is skipped.
    pub(crate) async fn with_or_skipped(packages: &[&str]) -> Option<Self> {
        let name = format!(
            "python-{}",
            packages.join("-").replace(['=', ',', '<', '>'], "_")
        );
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if directory.is_dir() || install(packages, &directory).await {
            return Some(Self {
                packages: directory,
            });
        }
        skipped(&format!("pip cannot install {}", packages.join(" and ")));
        None
    }

    /// Starts a program given as text; its arguments stand in `sys.argv[1:]`. Its errors are shown with the test's own. It is
    /// killed when it is dropped.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new("python3");
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        command
            .args(["-c", program])
            .args(arguments)
            .env("PYTHONPATH", &self.packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

/// Installs packages; another test run may do the same, so the directory appears when it is whole.
async fn install(packages: &[&str], to: &Path) -> bool {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let installed = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "--target",
        ])
        .arg(scratch.path())
        .args(packages)
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
