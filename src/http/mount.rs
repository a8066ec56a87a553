//! Routes that come later. The listener is up before the database is; a role adds its routes when it can serve them.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use super::api;
use crate::readiness::Readiness;

/// Where roles mount their routes. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Mounts(Arc<RwLock<Option<Router>>>);

impl Mounts {
    /// Adds routes. No two roles may have the same: that would be a mistake of ours, and ends the process at its start.
    pub fn mount(&self, router: Router) {
        let mut mounted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let whole = match mounted.take() {
            Some(present) => present.merge(router),
            None => router,
        };
        *mounted = Some(whole);
    }

    /// Answers by what is mounted by now.
    pub(super) async fn answer(&self, readiness: &Readiness, request: Request) -> Response {
        let is_event_source = request
            .headers()
            .get(header::ACCEPT)
            .map(HeaderValue::as_bytes)
            == Some(b"text/event-stream");
        let origin = request.headers().get(header::ORIGIN).cloned();
        let starting = !readiness.unmet().is_empty();
        let response = self.answer_now(readiness, request).await;
        // What it asks for may only not be here yet, and after any status but 200 it would never come back.
        let not_here = [StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE];
        if is_event_source && starting && not_here.contains(&response.status()) {
            return come_again(origin);
        }
        response
    }

    async fn answer_now(&self, readiness: &Readiness, request: Request) -> Response {
        let mounted = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(router) = mounted {
            let answered: Result<Response, std::convert::Infallible> =
                router.oneshot(request).await;
            return answered.unwrap_or_else(|never| match never {});
        }
        if readiness.unmet().is_empty() {
            let message = "this process serves no API: it runs without the role api\n";
            return (StatusCode::NOT_FOUND, message).into_response();
        }
        if let Some(response) = api::not_yet(&request) {
            return response;
        }
        let wait = [(header::RETRY_AFTER, "1")];
        (StatusCode::SERVICE_UNAVAILABLE, wait, "starting\n").into_response()
    }
}

/// A stream of server-sent events that ends at once, and asks its client to come back. Any page may know that much.
fn come_again(origin: Option<HeaderValue>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    let text = "retry: 1000\nevent: close\ndata: {\"code\":1013,\"reason\":\"starting\"}\n\n";
    let mut response = (kind, text).into_response();
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

impl fmt::Debug for Mounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Mounts")
    }
}
