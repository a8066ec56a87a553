//! The sidecar's doors, with a raw client.

mod compression;
mod consumers;
mod evolution;
mod filters;
mod limits;
mod raw;
mod resume;
mod ryze;
mod senders;
mod sidecar;
mod slow;
mod stream;
mod tokens;
mod vzaps;
mod wire;

use crate::support::app::TestApp;

/// Our own door to the instance of the tests.
const STREAM: &str = "/v1/instances/shop/stream";

/// Emits an event with a number.
async fn emit(app: &TestApp, number: usize) {
    app.emit("order.paid", &format!("{{\"n\":{number}}}")).await;
}
