//! How a command ends: its exit status, and its error, printed once and plainly.
//!
//! 0 done; 1 failed; 2 wrong usage (clap's); 78 wrong configuration (`EX_CONFIG`), which a restart does not mend.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::causes::{includes, words};
use crate::config;
use crate::lifecycle::Ending;

/// `EX_CONFIG` of sysexits.h.
const CONFIGURATION: u8 = 78;

/// Prints an error with its causes and gives the exit status. A reader that has gone is no error.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    // If standard error is gone too, there is nobody left to tell.
    let _ = io::stderr().write_all(message(error).as_bytes());
    let configuration = error
        .chain()
        .any(<dyn std::error::Error>::is::<config::Error>);
    if configuration {
        ExitCode::from(CONFIGURATION)
    } else {
        ExitCode::FAILURE
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Clean => Self::SUCCESS,
            // What failed was logged when it did.
            Ending::Failed | Ending::Forced => Self::FAILURE,
        }
    }
}

/// Whether somebody closed the pipe we write to, as `head` does.
fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error, then its causes, each indented and only if it says something new.
fn message(error: &anyhow::Error) -> String {
    let mut message = format!("postrider: error: {}\n", indented(&error.to_string()));
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(words) {
        if !includes(&said, &cause) {
            let _ = writeln!(message, "  {}", indented(&cause));
        }
        said = cause;
    }
    message
}

/// Further lines stand below the first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::message;

    #[test]
    fn causes_are_told_once() {
        let cause = io::Error::new(io::ErrorKind::AddrInUse, "address in use");
        let error = Err::<(), _>(cause)
            .context("cannot listen: address in use")
            .context("starting")
            .unwrap_err();
        assert_eq!(
            message(&error),
            "postrider: error: starting\n  cannot listen: address in use\n"
        );
    }
}
