//! The API of `CodeChat` v2, for clients that speak it: webhooks of an instance, several, each with a switch for every event.
//!
//! A webhook is an endpoint of the dialect `codechat`; its `webhookId` is the endpoint's UUID, and `:instanceId` takes an
//! instance's UUID as well as its name. The documentation shows no errors: they have the shape that version 1 gives them.

mod answer;
mod body;
mod switches;
mod toggles;
mod webhooks;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;
use super::auth::Carrier;
use super::fault::{Fault, Kind};
use super::manner::{Asked, Manner};
use webhooks::{create, delete, find, list, toggle, update};

/// The name of the dialect.
const DIALECT: &str = "codechat";

/// How it speaks.
pub static MANNER: Manner = Manner {
    name: "codechat",
    prefixes: &["/api/v2"],
    carriers: &[Carrier::Bearer, Carrier::Header("apikey")],
    limit: |_, _| None,
    shape,
    faults: FAULTS,
    fault_schema: "CodechatFault",
    fault_type: "application/json",
};

/// What any route may answer.
const FAULTS: &[(&str, &str)] = &[
    (
        "400",
        "The request cannot be read, or says what cannot be accepted",
    ),
    ("401", "No token, or one that is good for nothing"),
    (
        "404",
        "There is no such instance or webhook that this token reaches",
    ),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is larger than what is taken"),
    ("415", "The body is not JSON"),
    ("500", "Something went wrong here"),
    ("503", "Not now; try again"),
];

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct CodechatFault {
    /// The status once more.
    #[schema(example = 400)]
    status: u16,
    /// The status in words.
    #[schema(example = "Bad Request")]
    error: &'static str,
    /// What is wrong, and what to do.
    message: Vec<String>,
}

/// What its document has beside its routes.
#[derive(OpenApi)]
#[openapi(components(schemas(CodechatFault)))]
struct Document;

/// Its routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(create::create, list::list))
        .routes(routes!(find::find, update::update, delete::delete))
        .routes(routes!(toggle::toggle))
}

/// A fault in its shape. What cannot be accepted is a 400: the documentation knows no other.
fn shape(fault: &Fault, _: &Asked) -> Response {
    let status = match fault.kind {
        Kind::Unacceptable | Kind::Conflict => StatusCode::BAD_REQUEST,
        kind => kind.status(),
    };
    let body = CodechatFault {
        status: status.as_u16(),
        error: status.canonical_reason().unwrap_or_default(),
        message: vec![fault.message.clone()],
    };
    (status, Json(body)).into_response()
}
