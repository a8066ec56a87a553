//! Every route, on one page.

use axum::Router;
use axum::routing::get;

use super::{State, health, metrics};

/// All routes.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/metrics", get(metrics::render))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(state)
}
