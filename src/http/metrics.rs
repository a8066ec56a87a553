//! `/metrics`: for Prometheus.

use axum::extract;
use axum::http::header;
use axum::response::IntoResponse;

use super::State;

/// Renders all metrics. Nothing is measured here: a scrape costs no query.
pub(super) async fn render(extract::State(state): extract::State<State>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        state.exporter.render(),
    )
}
