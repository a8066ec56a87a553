//! Faults as RFC 9457 problems.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::fault::{Fault, Kind};
use crate::http::manner::Asked;

/// What any route may answer.
pub(super) const FAULTS: &[(&str, &str)] = &[
    ("400", "The request cannot be read"),
    ("401", "No token, or one that is good for nothing"),
    ("403", "The token is good, but not for this"),
    ("404", "There is no such thing that this token reaches"),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    (
        "409",
        "It is there already, or stands against something that is",
    ),
    (
        "413",
        "The body, or the event, is larger than what is taken",
    ),
    ("415", "The body is not JSON"),
    ("422", "A value cannot be accepted; the detail says why"),
    ("500", "Something went wrong here"),
    ("503", "Not now; try again"),
];

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Names the kind of problem; no address to fetch.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// Stable, for programs.
    code: &'static str,
    /// What is wrong, where, and what to do.
    detail: String,
    /// Where in the request, where it is one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The id of this request, as in the log.
    request_id: String,
}

/// A fault as a problem.
pub(super) fn shape(fault: &Fault, asked: &Asked) -> Response {
    let status = fault.kind.status();
    let problem = Problem {
        kind: format!("urn:postrider:problem:{}", fault.code),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        code: fault.code,
        detail: fault.message.clone(),
        field: fault.field.clone(),
        request_id: asked.request_id.clone(),
    };
    let mut response = (status, Json(problem)).into_response();
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    if fault.kind == Kind::Unauthorized {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}
