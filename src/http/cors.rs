//! Web pages of other origins may call the APIs where `http.cors_origins` lists them. Tokens go in headers, so no cookies do.

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::Api;

/// What requests may carry: what says what they are, and the tokens of all dialects.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "content-type, authorization, token, apikey, x-client-token, x-instance-token, idempotency-key, x-request-id",
);
/// What pages may read of a response beside its body.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, retry-after, x-request-id",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
/// How long a browser need not ask again, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Answers browsers that ask beforehand, and tells them whose pages may read the answer. To anybody else nothing changes.
pub(super) async fn allow_origins(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(ORIGIN);
    let allowed = origin.filter(|origin| is_allowed(&api.config.http.cors_origins, origin));
    let Some(origin) = allowed.cloned() else {
        return next.run(request).await;
    };
    let asks_beforehand = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_beforehand {
        let permissions = [
            (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
            (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        (StatusCode::NO_CONTENT, permissions).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(VARY, HeaderValue::from_static("origin"));
    response
}

/// Whether an origin is on the list.
fn is_allowed(list: &[String], origin: &HeaderValue) -> bool {
    list.iter()
        .any(|listed| listed == "*" || listed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}
