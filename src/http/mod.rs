//! The HTTP listener: every process has one, for metrics and health at least. The routes are on one page: `routes`.

mod health;
mod metrics;
mod routes;

pub use routes::router;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Exporter;
use crate::readiness::Readiness;

/// How long answers under way may take once the process ends.
const GRACE: Duration = Duration::from_secs(1);

/// What handlers use.
#[derive(Debug, Clone)]
pub struct State {
    /// Renders `/metrics`.
    pub exporter: Exporter,
    /// Answers `/readyz`.
    pub readiness: Readiness,
    /// Cancelled when the process shuts down, and is no longer ready.
    pub soft: CancellationToken,
}

/// Answers until `hard`, and a little longer whoever is being answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    hard: CancellationToken,
) -> io::Result<()> {
    let listener = listener.tap_io(|connection| {
        // Answers are small and written at once; to wait for more would only delay them. A refusal costs no more.
        let _ = connection.set_nodelay(true);
    });
    let server =
        axum::serve(listener, router).with_graceful_shutdown(hard.clone().cancelled_owned());
    // A client that never finishes its request must not hold the process.
    let overtime = async {
        hard.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server.into_future() => ended,
        () = overtime => Ok(()),
    }
}
