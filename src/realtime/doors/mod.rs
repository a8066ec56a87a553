//! The doors: who may come in, and what they are given.

mod caller;
mod evolution;
mod refusal;
mod resuming;
mod ryze;
mod socketio;
mod sse;
mod stream;
mod vzaps;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};

use super::sidecar::Sidecar;

/// The routes of this role.
pub(super) fn router(sidecar: &Arc<Sidecar>) -> Router {
    Router::new()
        .route("/v1/instances/{instance}/stream", get(stream::open))
        .route("/ws/{instance}", get(ryze::open))
        .route("/events/ws", get(vzaps::open))
        .route("/", any(evolution::open))
        .with_state(Arc::clone(sidecar))
        .merge(socketio::router(sidecar))
}
