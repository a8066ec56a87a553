//! `/healthz`: the process answers. `/readyz`: it can do its work, or why not.

use std::fmt::Write;

use axum::extract;
use axum::http::StatusCode;

use super::State;

/// The process answers. Says nothing of the database: a restart would not bring it back.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// 200, or 503 with a line for each condition that is not met.
pub(super) async fn ready(extract::State(state): extract::State<State>) -> (StatusCode, String) {
    let mut page = String::new();
    if state.soft.is_cancelled() {
        page.push_str("process: shutting down\n");
    }
    for (name, reason) in state.readiness.unmet() {
        let _ = writeln!(page, "{name}: {reason}");
    }
    if page.is_empty() {
        (StatusCode::OK, "ready\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, page)
    }
}
