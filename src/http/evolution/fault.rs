//! Faults in Evolution API's shape: `{"status", "error", "response": {"message"}}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::fault::{Fault, Kind};
use crate::http::manner::Asked;

/// What any route may answer.
pub(super) const FAULTS: &[(&str, &str)] = &[
    (
        "400",
        "The request cannot be accepted; the message says why",
    ),
    (
        "401",
        "No apikey, or one that is not good for this instance",
    ),
    (
        "403",
        "The apikey is good, but not for this; or the name is taken",
    ),
    ("404", "There is no such instance that this apikey reaches"),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is larger than what is taken"),
    ("415", "The body is not JSON"),
    ("500", "Something went wrong here"),
    ("503", "Not now; try again"),
];

/// The code of a fault that lists what is wrong with a body, one line for each.
const LISTED: &str = "invalid_body";

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EvolutionFault {
    /// The status.
    status: u16,
    /// The status in words.
    error: &'static str,
    /// The rest.
    response: EvolutionFaultText,
}

/// The text of what is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct EvolutionFaultText {
    /// A text, a list of texts, or a list of texts in a list.
    message: Value,
}

/// All that is wrong with a body.
pub(super) fn invalid(problems: &[String]) -> Fault {
    Fault::new(Kind::Unacceptable, LISTED, problems.join("\n"))
}

/// One thing that is wrong.
pub(super) fn refused(problem: impl Into<String>) -> Fault {
    Fault::new(Kind::Unacceptable, "refused", problem)
}

/// There is no instance of this name.
pub(super) fn no_instance(name: &str) -> Fault {
    let message = format!("The \"{name}\" instance does not exist");
    Fault::new(Kind::NotFound, "instance_not_found", message)
}

/// A fault in this shape.
pub(super) fn shape(fault: &Fault, asked: &Asked) -> Response {
    let status = match fault.kind {
        // It knows one status for everything that is wrong with a request.
        Kind::Unacceptable => Kind::Malformed.status(),
        Kind::Conflict => Kind::Forbidden.status(),
        kind => kind.status(),
    };
    let message = match fault.kind {
        Kind::Unauthorized => json!("Unauthorized"),
        Kind::Internal => json!(fault.message),
        Kind::NoRoute | Kind::Method => {
            json!([format!("Cannot {} {}", asked.method, asked.uri.path())])
        }
        _ if fault.code == LISTED => json!([fault.message.lines().collect::<Vec<_>>()]),
        _ => json!([fault.message]),
    };
    let body = EvolutionFault {
        status: status.as_u16(),
        error: status.canonical_reason().unwrap_or("Error"),
        response: EvolutionFaultText { message },
    };
    (status, Json(body)).into_response()
}
