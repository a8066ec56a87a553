//! The doors: who may come in, and what they are given.

mod caller;
mod refusal;
mod ryze;
mod sse;
mod stream;
mod vzaps;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::sidecar::Sidecar;

/// The routes of this role.
pub(super) fn router(sidecar: Arc<Sidecar>) -> Router {
    Router::new()
        .route("/v1/instances/{instance}/stream", get(stream::open))
        .route("/ws/{instance}", get(ryze::open))
        .route("/events/ws", get(vzaps::open))
        .with_state(sidecar)
}
