//! The alert rules and a live `/metrics`, by Prometheus's own checker.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::app::{INSTANCE, TestApp};
use crate::support::promtool::promtool_or_skipped;
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::Process;

/// Runs it in `grafana/`; it must be content.
fn assert_content(mut promtool: Command, arguments: &[&str], input: &str) {
    let mut child = promtool
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
}

#[test]
fn the_alert_rules_are_sound() {
    if let Some(promtool) = promtool_or_skipped() {
        assert_content(promtool, &["check", "rules", "rules.yml"], "");
    }
}

#[test]
fn each_alert_fires_when_it_should_and_is_quiet_otherwise() {
    if let Some(promtool) = promtool_or_skipped() {
        assert_content(promtool, &["test", "rules", "rules_test.yml"], "");
    }
}

#[tokio::test]
async fn what_a_worker_shows_is_as_prometheus_wants_it() {
    let Some(promtool) = promtool_or_skipped() else {
        return;
    };
    let app = TestApp::start().await;
    let shop = app.endpoint(INSTANCE).create().await;
    let mut worker = app.worker().spawn();
    worker.ready().await;
    let events = app.emit_many(10).await;
    app.drained().await;
    app.assert_seen(&shop, &events);
    let answer = worker.get("/metrics").unwrap();
    let (_, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        page.contains("\npostrider_attempts_total{channel=\"webhook\",result=\"delivered\"} 10\n"),
        "{page}"
    );
    assert_content(promtool, &["check", "metrics"], page);
    worker.stop().await;
}

/// What a worker has counted so far, by the name of the series.
fn counted(worker: &Process, series: &str) -> Option<f64> {
    let answer = worker.get("/metrics")?;
    let line = answer.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}

#[tokio::test]
async fn a_worker_claims_though_nothing_is_due_so_that_one_which_does_not_is_noticed() {
    let app = TestApp::start().await;
    let mut worker = app.worker().spawn();
    worker.ready().await;
    let claims = || counted(&worker, "postrider_claim_duration_seconds_count");
    let before = claims().unwrap();
    until("three claims of an empty queue", PATIENCE, async || {
        claims().is_some_and(|claims| claims >= before + 3.0)
    })
    .await;
    assert_eq!(
        counted(&worker, "postrider_claim_batch_rows_count"),
        Some(0.0)
    );
    worker.stop().await;
}
