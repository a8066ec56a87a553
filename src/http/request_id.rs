//! An id for each request, whoever answers it: the caller's own where it sent a usable one, else a new one. It is on the response and
//! in the log.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

/// The header, both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request that carries it.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Gives a request its id.
pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID);
    let id = given
        .and_then(|id| id.to_str().ok())
        .filter(|id| is_usable(id))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let span = tracing::info_span!("request", request.id = %id, http.method = %request.method(), http.path = request.uri().path());
    let header = HeaderValue::from_str(&id).expect("an id is plain ASCII");
    // In the header for those who answer without knowing us: other roles have routes at this listener too.
    request.headers_mut().insert(REQUEST_ID, header.clone());
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, header);
    response
}

/// Short, and of characters that disturb no log.
fn is_usable(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=128).contains(&id.len()) && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_usable;

    #[test]
    fn an_id_of_the_callers_own_is_short_and_plain() {
        assert!(is_usable("8a6f0c1e-1b2c-4d5e-8f90-a1b2c3d4e5f6"));
        for unusable in ["", "a b", "a\nb", "é", &"a".repeat(129)] {
            assert!(!is_usable(unusable), "{unusable:?}");
        }
    }
}
