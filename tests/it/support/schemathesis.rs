//! Schemathesis, which makes requests up from an OpenAPI document. Taken from `PyPI` into our target directory; nothing is
//! installed on the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::skip::skipped;

/// What is known to understand our arguments.
const PACKAGE: &str = "schemathesis==4.32.5";

/// Where it is, if it is to be had; looked for once.
static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Schemathesis, ready to be given arguments. None if there is none to be had; then the test is skipped.
pub(crate) fn schemathesis_or_skipped() -> Option<Command> {
    let found = PROGRAM.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
        let program = home.join("bin/schemathesis");
        if !runs(&program) {
            install(&home);
        }
        runs(&program).then_some(program)
    });
    if found.is_none() {
        skipped(
            "there is no schemathesis: python3 with venv, and PyPI to take it from, are needed",
        );
    }
    found.as_ref().map(Command::new)
}

/// Whether it is there and can be run.
fn runs(program: &Path) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Installs it into an environment of its own. What goes wrong shows when it does not run.
fn install(home: &Path) {
    let _ = std::fs::remove_dir_all(home);
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(home)
        .output();
    if made.is_ok_and(|output| output.status.success()) {
        let pip = home.join("bin/pip");
        let _ = Command::new(pip)
            .args(["install", "--quiet", "--disable-pip-version-check", PACKAGE])
            .output();
    }
}
