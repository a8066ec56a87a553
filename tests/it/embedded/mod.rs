//! The private Postgres, started for real.

mod accounts;
mod installing;
mod killing;
mod program;
mod refusing;
mod serving;

use std::path::{Path, PathBuf};
use std::time::Duration;

use postrider::db::embedded::{Cluster, Options};
use sqlx::{ConnectOptions, Connection};
use tokio::time::Instant;

use crate::support::postgres::{options, own_directory};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data directory for one test.
fn data_dir(name: &str) -> PathBuf {
    own_directory().join(name)
}

/// The options with that data directory, and without the price of flushing.
fn options_in(data_dir: &Path) -> Options {
    Options {
        data_dir: Some(data_dir.to_owned()),
        durable: false,
        install: false,
        ..options()
    }
}

/// Writes a row that is to be found again.
async fn write_row(cluster: &Cluster) {
    let mut connection = cluster.connect_options().connect().await.unwrap();
    sqlx::raw_sql("create table kept as select 7 as number")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// Finds it again.
async fn assert_row_kept(cluster: &Cluster) {
    let mut connection = cluster.connect_options().connect().await.unwrap();
    let number: i32 = sqlx::query_scalar("select number from kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(number, 7);
}

/// Waits for a process to be gone; one that nobody reaps counts as gone.
async fn assert_ends(process_id: u32) {
    let deadline = Instant::now() + PATIENCE;
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while lives() {
        assert!(
            Instant::now() < deadline,
            "process {process_id} is still there"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
