//! Tests that need more than this machine has.

use std::io::Write;

/// Says loudly that a test was not run. Where the checks are run for a verdict (`CI=true`), that is a failure.
pub(crate) fn skipped(why: &str) {
    // Past the harness, which keeps to itself what a passing test prints. One write, so that lines stay whole.
    let line = format!("\nSKIPPED: {why}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    let verdict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!verdict, "in CI nothing is skipped: {why}");
}

/// Whether we are root; if not, the test is skipped.
pub(crate) fn root_or_skipped() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped("only root can do what this test does");
    }
    root
}
