//! Sidecars as processes of their own, with clients that come back by themselves: what happens to either, nothing is lost.

mod faults;
mod listeners;
mod operating;
mod resting;
mod subscriber;
mod together;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::worker::{Process, WorkerBuilder};

/// Where the stream is.
const STREAM: &str = "/v1/instances/shop/stream";

/// A sidecar that is not started yet.
fn sidecar(app: &TestApp) -> WorkerBuilder {
    app.worker()
        .set("api.account_token", format!("'{ACCOUNT}'"))
        .set("doorbell.floor_poll_ms", 1000)
}

/// Starts it, and waits until it is ready.
async fn started(builder: WorkerBuilder) -> Process {
    let mut process = builder.spawn_sidecar();
    process.ready().await;
    process
}

/// How many connections a part of ours has to this database.
async fn connections(app: &TestApp, part: &str) -> i64 {
    app.value(&format!(
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'postrider {part}'"
    ))
    .await
}
