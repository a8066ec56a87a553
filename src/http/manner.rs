//! The manner of a dialect: where its clients put their tokens, how often they may come, and what its faults look like.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::auth::Carrier;
use super::fault::{Fault, Kind};
use super::limit::{Allowance, Limit};
use super::request_id::RequestId;

/// The header by which it is known whether an allowance was written.
pub(super) const ALLOWANCE: &str = "x-ratelimit-limit";

/// How one dialect speaks.
#[derive(Debug)]
pub struct Manner {
    /// Its name, as in `dialect::Dialect`; `v1` is our own.
    pub name: &'static str,
    /// What its paths begin with. Decides in which shape an unknown path is answered: the longest that fits wins.
    pub prefixes: &'static [&'static str],
    /// Where a token is looked for; the first place that has one decides.
    pub carriers: &'static [Carrier],
    /// How often a token may be used for this; none: as often as it likes.
    pub limit: fn(&Method, &Uri) -> Option<Limit>,
    /// A fault as its clients expect it.
    pub shape: fn(&Fault, &Asked) -> Response,
    /// What any of its routes may answer, for the OpenAPI document: the status and its meaning.
    pub faults: &'static [(&'static str, &'static str)],
    /// The name of that body in the document.
    pub fault_schema: &'static str,
    /// Its content type.
    pub fault_type: &'static str,
}

/// What was asked, for shapes that repeat it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// GET, POST …
    pub method: Method,
    /// Where.
    pub uri: Uri,
    /// The id of this request.
    pub request_id: String,
}

/// Where a limit that was counted waits to be written on the response.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted(pub(super) Arc<OnceLock<Allowance>>);

/// Makes all routes of a router behave in this manner. What they return as faults gets its shape here, and so do a method that
/// is not allowed and a handler that panics.
pub(super) fn dress<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    manner: &'static Manner,
) -> Router<S> {
    router
        .method_not_allowed_fallback(refuse_method)
        .layer(from_fn(move |request, next| speak(manner, request, next)))
}

/// The answer to a path that nobody has, in the manner of those that are most like it.
pub(super) async fn no_route(manners: &'static [&'static Manner], request: Request) -> Response {
    let path = request.uri().path();
    let manner = likest(manners, path);
    let asked = asked(&request);
    let message = format!(
        "there is no {} {path}; /openapi.json lists what there is",
        asked.method
    );
    let fault = Fault::new(Kind::NoRoute, "no_such_route", message);
    let manner = manner.or(manners.first().copied());
    manner.map_or_else(
        || Kind::NoRoute.status().into_response(),
        |manner| (manner.shape)(&fault, &asked),
    )
}

/// The answer before any routes are here, in the manner of those that will be; none where none will be like the path.
pub(super) fn not_yet(manners: &[&'static Manner], request: &Request) -> Option<Response> {
    let manner = likest(manners, request.uri().path())?;
    let fault = Fault::unavailable("this process is only starting; try again");
    let mut response = (manner.shape)(&fault, &asked(request));
    let wait = fault.retry_after.unwrap_or_default().as_secs().max(1);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, wait.into());
    Some(response)
}

/// The manner with the longest prefix of a path.
pub(super) fn likest(manners: &[&'static Manner], path: &str) -> Option<&'static Manner> {
    let fits = |manner: &&Manner| {
        let lengths = manner.prefixes.iter().filter(|prefix| begins(path, prefix));
        lengths.map(|prefix| prefix.len()).max()
    };
    let candidates = manners.iter().copied();
    candidates
        .filter(|manner| fits(manner).is_some())
        .max_by_key(fits)
}

/// Whether a path lies below a prefix.
fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One request and its answer.
async fn speak(manner: &'static Manner, mut request: Request, next: Next) -> Response {
    let asked = asked(&request);
    let counted = Counted::default();
    request.extensions_mut().insert(manner);
    request.extensions_mut().insert(counted.clone());
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = handled.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Fault::new(
            Kind::Internal,
            "internal_error",
            "something went wrong here",
        )
        .into_response()
    });
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        // What the router knows and the shape does not: which methods there are.
        let allow = response.headers_mut().remove(header::ALLOW);
        response = (manner.shape)(&fault, &asked);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(wait) = fault.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
        }
    }
    if let Some(allowance) = counted.0.get() {
        write_allowance(response.headers_mut(), *allowance);
    }
    response
}

/// `X-RateLimit-*`.
pub(super) fn write_allowance(headers: &mut HeaderMap, allowance: Allowance) {
    for (name, value) in allowance.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// What a request asks.
fn asked(request: &Request) -> Asked {
    Asked {
        method: request.method().clone(),
        uri: request.uri().clone(),
        request_id: request
            .extensions()
            .get::<RequestId>()
            .map(|id| id.0.clone())
            .unwrap_or_default(),
    }
}

/// The route is there, and not for this method.
async fn refuse_method(method: Method, uri: Uri) -> Fault {
    let message = format!(
        "{method} is not for {}; the Allow header says what is",
        uri.path()
    );
    Fault::new(Kind::Method, "method_not_allowed", message)
}
