//! Waiting without sleeping: a condition, and a deadline.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take that is not measured. Longer than a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a condition holds; fails the test when it does not within `within`. Answers with how long it took.
pub(crate) async fn until(
    what: &str,
    within: Duration,
    mut holds: impl AsyncFnMut() -> bool,
) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

/// Does something again and again until `work` is done. What was begun by then is waited for, not left to itself.
pub(crate) async fn meanwhile(work: impl Future<Output = ()>, mut again: impl AsyncFnMut()) {
    let over = Cell::new(false);
    let work = Box::pin(work);
    let work = async {
        work.await;
        over.set(true);
    };
    let repeating = async {
        while !over.get() {
            again().await;
        }
    };
    tokio::join!(work, repeating);
}

/// A size for this machine: small in CI, larger where the environment says so (`TEST_SCALE=10`).
pub(crate) fn scaled(size: usize) -> usize {
    let scale = std::env::var("TEST_SCALE").map_or(1, |scale| scale.parse().unwrap());
    size * scale
}
