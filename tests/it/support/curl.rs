//! curl, as everybody has it; where it is missing it is unpacked out of Debian's packages.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::fetched::fetched;
use super::package::unpack_with_dependencies;
use super::skip::skipped;

/// A curl that can be run.
#[derive(Debug, Clone)]
pub(crate) struct Curl {
    /// Where its packages were unpacked; none where the machine has one of its own.
    unpacked: Option<PathBuf>,
}

impl Curl {
    /// Nothing where it is not to be had; then the test is skipped.
    pub(crate) async fn here_or_skipped() -> Option<Self> {
        let own = Self { unpacked: None };
        if own.runs().await {
            return Some(own);
        }
        let unpack = async |to: &Path| unpack_with_dependencies(&["curl"], to).is_ok();
        let unpacked = Self {
            unpacked: fetched("curl", unpack).await,
        };
        if unpacked.runs().await {
            return Some(unpacked);
        }
        skipped("there is no curl, and apt-get cannot fetch it");
        None
    }

    /// curl itself, to be given its arguments.
    pub(crate) fn command(&self) -> Command {
        self.prepared("curl")
    }

    /// A program that finds curl by its name.
    pub(crate) fn prepared(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(unpacked) = &self.unpacked {
            let path = |ours: PathBuf, name: &str| {
                let known = env::var_os(name).unwrap_or_default();
                let parts = env::split_paths(&known).collect::<Vec<_>>();
                env::join_paths(std::iter::once(ours).chain(parts))
                    .unwrap_or_else(|_| OsString::new())
            };
            let libraries = unpacked.join(format!("usr/lib/{}-linux-gnu", env::consts::ARCH));
            command
                .env("PATH", path(unpacked.join("usr/bin"), "PATH"))
                .env("LD_LIBRARY_PATH", path(libraries, "LD_LIBRARY_PATH"));
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn runs(&self) -> bool {
        let version = self.prepared("curl").arg("--version").output().await;
        version.is_ok_and(|output| output.status.success())
    }
}
