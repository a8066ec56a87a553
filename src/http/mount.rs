//! Routes that come later. The listener is up before the database is; a role adds its routes when it can serve them.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

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
        let wait = [(header::RETRY_AFTER, "1")];
        (StatusCode::SERVICE_UNAVAILABLE, wait, "starting\n").into_response()
    }
}

impl fmt::Debug for Mounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Mounts")
    }
}
