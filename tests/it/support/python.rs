//! Clients from the Python package index, as their users install them, with all they need.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::fetched::fetched;
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
        if let Some(packages) = fetched(&name, async |to| install(packages, to).await).await {
            return Some(Self { packages });
        }
        skipped(&format!("pip cannot install {}", packages.join(" and ")));
        None
    }

    /// Starts a program given as text; its arguments stand in `sys.argv[1:]`. Its errors are shown with the test's own. It is
    /// killed when it is dropped.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Child {
        self.command()
            .args(["-c", program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A program that comes with the packages, to be given its arguments. It is killed when it is dropped.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = self.command();
        command.arg(self.packages.join("bin").join(name));
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new("python3");
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        command.env("PYTHONPATH", &self.packages).kill_on_drop(true);
        command
    }
}

async fn install(packages: &[&str], to: &Path) -> bool {
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
        .arg(to)
        .args(packages)
        .stdin(Stdio::null())
        .output()
        .await;
    installed.is_ok_and(|output| output.status.success())
}
