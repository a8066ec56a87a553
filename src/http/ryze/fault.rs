//! Faults as RyzeAPI has them: `{"success": false, "error": {"message": "…"}}`, with its own texts.
//!
//! Where its text says little, `details` beside it say what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::causes::Causes;
use crate::db;
use crate::http::fault::{Fault, Kind};
use crate::http::manner::Asked;

/// The code of faults whose message is RyzeAPI's own, and goes out as it is.
const VERBATIM: &str = "ryze";

/// What any route may answer.
pub(super) const FAULTS: &[(&str, &str)] = &[
    ("400", "A value cannot be accepted; the message says why"),
    ("401", "Invalid token"),
    ("404", "There is no such thing that this token reaches"),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is larger than what is taken"),
    ("429", "Rate limit exceeded. Try again later."),
    ("500", "Something went wrong here"),
];

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeFault {
    /// Always false.
    success: bool,
    /// Why.
    error: RyzeError,
}

/// Why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeError {
    /// In words.
    message: String,
    /// What to do about it, where the message does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
}

/// A value that cannot be accepted, in words of RyzeAPI or such as it might have.
pub(super) fn refused(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Malformed, VERBATIM, message)
}

/// Something is not there.
pub(super) fn missing(message: &'static str) -> Fault {
    Fault::new(Kind::NotFound, VERBATIM, message)
}

/// For `map_err`: a failure of ours in the words of the documentation. It is logged here, once.
pub(super) fn failing_to(message: &'static str) -> impl FnOnce(db::Error) -> Fault {
    move |error| {
        tracing::error!(error = %Causes(&error), "{message}");
        Fault::new(Kind::Internal, VERBATIM, message)
    }
}

/// A fault in its shape.
pub(super) fn shape(fault: &Fault, asked: &Asked) -> Response {
    let (status, message, details) = told(fault, asked.uri.path());
    let body = RyzeFault {
        success: false,
        error: RyzeError { message, details },
    };
    (status, Json(body)).into_response()
}

/// Status, message, and details where there are some.
fn told(fault: &Fault, path: &str) -> (StatusCode, String, Option<String>) {
    let status = match fault.kind {
        Kind::Unacceptable | Kind::MediaType => StatusCode::BAD_REQUEST,
        // There are no other 5xx in its documentation.
        Kind::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        _ if fault.code == "too_many_enabled" => StatusCode::BAD_REQUEST,
        kind => kind.status(),
    };
    let detailed = |message: &str| (status, message.to_owned(), Some(fault.message.clone()));
    let plain = |message: &str| (status, message.to_owned(), None);
    match (fault.kind, fault.code) {
        (_, VERBATIM) => plain(&fault.message),
        (Kind::Unauthorized, _) => plain("Invalid token"),
        (Kind::NotFound, _) => plain("Instance not found"),
        (Kind::Malformed | Kind::Unacceptable | Kind::MediaType, _) => {
            detailed("Invalid request body")
        }
        (Kind::Conflict, "too_many_enabled") => detailed("Maximum of 3 enabled webhooks reached"),
        (Kind::Conflict, "already_exists") => detailed("Instance already exists"),
        (Kind::Forbidden, "instances_exhausted") => plain("Account instance quota exceeded"),
        (Kind::Forbidden, _) => detailed("TokenAccount required"),
        (Kind::TooMany, _) => plain("Rate limit exceeded. Try again later."),
        (Kind::Internal | Kind::Unavailable, _) if path.starts_with("/api/events/") => {
            plain("Failed to get instance")
        }
        (Kind::Internal | Kind::Unavailable, _) => plain("Internal server error"),
        _ => plain(&fault.message),
    }
}
