//! Every benchmark runs, over a Postgres of its own and over a given one, and prints what it is judged by. No figure is
//! checked: on a busy machine it means nothing.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::postgres;

/// Runs a small one; its report.
fn bench(arguments: &[&str], database_url: Option<&str>) -> Value {
    let mut command = command(arguments);
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    report(command)
}

/// A small one.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command
        .arg("bench")
        .args(arguments)
        .args(["--quick", "--json"])
        .env_remove("DATABASE_URL")
        .current_dir(postgres::own_directory());
    command
}

/// Runs it.
fn report(mut command: Command) -> Value {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Looks whether a report names machine, server and command, and has these ratios, all of them numbers.
fn check(report: &Value, ratios: &[&str]) {
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0, "{report}");
    assert!(
        report["command"]
            .as_str()
            .unwrap()
            .starts_with("postrider bench "),
        "{report}"
    );
    assert_eq!(report["postgres"][0][0], "version", "{report}");
    let found: Vec<&str> = report["ratios"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|ratio| ratio["value"].is_f64())
        .map(|ratio| ratio["name"].as_str().unwrap())
        .collect();
    assert_eq!(found, ratios, "{report}");
}

#[test]
fn drain_prints_its_ratios_and_leaves_nothing_behind() {
    let ratios = [
        "worker's resident memory at most, MB",
        "drain / what a and b allow together",
        "the same by CPU time",
    ];
    let temporary = tempfile::tempdir().unwrap();
    // The server runs as another user where we are root.
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(temporary.path(), open).unwrap();
    let mut command = command(&["drain"]);
    command.env("TMPDIR", temporary.path());
    check(&report(command), &ratios);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn drain_uses_a_database_of_its_own_on_a_given_server() {
    let database = postgres::empty_database().await;
    let url = database.url();
    let report =
        tokio::task::spawn_blocking(move || bench(&["drain", "--only", "drain"], Some(&url)))
            .await
            .unwrap();
    check(&report, &["worker's resident memory at most, MB"]);
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from pg_database where datname like 'postrider_bench_%') + (select count(*) from pg_namespace where nspname = 'postrider')",
    )
    .fetch_one(&mut database.connection().await)
    .await
    .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn latency_prints_its_ratios() {
    let ratios = [
        "idle p50 / (NOTIFY + POST)",
        "p50 at 100/s less idle p50, ms",
    ];
    check(&bench(&["latency"], None), &ratios);
}

#[test]
fn capture_prints_its_ratios() {
    let ratios = [
        "16 writers, 8 listeners: bell / polling",
        "16 writers, a listener: captured / plain",
        "16 writers, 8 listeners: captured / plain",
        "16 writers, the same rows by one bare statement: bare / plain",
        "16 writers, the same rows by one bare statement: captured / bare",
        "16 writers, a trigger that writes nothing / plain",
        "16 writers, bare statement and empty trigger together / plain",
        "16 writers, a worker delivering: captured / plain",
        "64 writers, 24 listeners: bell / polling",
        "64 writers, a listener: captured / plain",
        "64 writers, 24 listeners: captured / plain",
        "64 writers, the same rows by one bare statement: bare / plain",
        "64 writers, the same rows by one bare statement: captured / bare",
        "64 writers, a trigger that writes nothing / plain",
        "64 writers, bare statement and empty trigger together / plain",
        "64 writers, a worker delivering: captured / plain",
    ];
    check(&bench(&["capture"], None), &ratios);
}

#[test]
fn backlog_prints_its_ratios() {
    let ratios = [
        "claim time, long queue / short queue",
        "drain rate, short queue / long queue",
    ];
    check(&bench(&["backlog"], None), &ratios);
}

#[test]
fn neighbour_prints_its_ratios() {
    let ratios = [
        "worst p95 beside a flooded endpoint / alone (1.5, or 20 ms more)",
        "worst p95 beside silent endpoints / alone (1.5, or 20 ms more)",
    ];
    let arguments = ["neighbour", "--healthy", "20", "--silent", "10"];
    check(&bench(&arguments, None), &ratios);
}

#[test]
fn api_prints_its_ratios() {
    let ratios = [
        "select emit / one event over HTTP",
        "one event over HTTP / select emit, by CPU time of the servers",
        "batches of 100 / one by one",
    ];
    check(&bench(&["api"], None), &ratios);
}

#[test]
fn fanout_prints_its_ratios() {
    let ratios = [
        "200 subscribers, one event at a time: sidecar / loop, CPU",
        "200 subscribers, bursts of 50: sidecar / loop, CPU",
        "100 events/s to 5: p50, ms",
        "100 events/s to 5: p99, ms",
        "the commits' p50, followed / alone",
        "50 idle connections: resident memory of each, KB",
        "50 clients after a restart: until all have what they missed, s",
        "transactions of the database for each of them",
    ];
    check(&bench(&["fanout"], None), &ratios);
}

#[test]
fn bloat_prints_its_ratio() {
    check(&bench(&["bloat"], None), &["last part, with / without"]);
}
