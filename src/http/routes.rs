//! What every process answers. What else there is, roles mount.

use axum::Router;
use axum::extract::Request;
use axum::routing::get;

use super::{State, health, metrics};

/// All routes.
pub fn router(state: State) -> Router {
    let (mounts, readiness) = (state.mounts.clone(), state.readiness.clone());
    Router::new()
        .route("/metrics", get(metrics::render))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(state)
        .fallback(move |request: Request| async move { mounts.answer(&readiness, request).await })
}
