//! How we start a program of PostgreSQL: as the right user, and never to outlive us.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use std::os::unix::process::CommandExt;

use super::account::Account;
use super::{Error, exec};

/// The last of what a failed program said that is worth repeating.
const OUTPUT_BYTES_MAX: usize = 4_000;

/// Starts programs as one account.
#[derive(Debug)]
pub(super) struct Launcher {
    /// Our own program.
    pub(super) executable: PathBuf,
    /// Who they run as.
    pub(super) account: Account,
}

impl Launcher {
    /// A command that runs `program` by way of [`exec`]; arguments may be added.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.executable);
        let (uid, gid) = match self.account.change_to {
            Some((uid, gid)) => (uid.to_string(), gid.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        command
            .arg(exec::SUBCOMMAND)
            .arg(std::process::id().to_string())
            .args([uid, gid])
            .arg(program);
        // Ours may hold what Postgres would take as its own (PGDATA), or what is none of its business (secrets).
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        // The directory we were started in may be closed to the account.
        command.current_dir("/").stdin(Stdio::null());
        // A Ctrl-C at the terminal is for us alone; we then stop the server in order.
        command.process_group(0);
        command
    }

    /// Runs a program to its end, and answers with what it said.
    pub(super) fn run(&self, program: &Path, arguments: &[&str]) -> Result<String, Error> {
        let output = self.command(program).args(arguments).output();
        let output = output.map_err(Error::system("run", program))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failure(program, &output))
    }

    /// What a failed run means.
    fn failure(&self, program: &Path, output: &Output) -> Error {
        let account = self.account.name.clone();
        let said = said(&output.stderr);
        match output.status.code() {
            Some(exec::MAY_NOT_BECOME) => Error::MayNotBecome {
                account,
                detail: said,
            },
            // 127 is the dynamic linker's: a library is missing.
            Some(exec::NOT_RUNNABLE | 127) => Error::NotRunnable {
                program: program.to_owned(),
                account,
                detail: said,
            },
            _ => Error::Failed {
                what: program.display().to_string(),
                status: output.status.to_string(),
                output: said,
            },
        }
    }
}

/// The end of what a program said.
pub(super) fn said(output: &[u8]) -> String {
    let start = output.len().saturating_sub(OUTPUT_BYTES_MAX);
    String::from_utf8_lossy(&output[start..]).trim().to_owned()
}
