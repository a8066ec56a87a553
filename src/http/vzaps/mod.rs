//! The API of `VZaps`, for clients that speak it: its SDKs work for instances and webhooks as they are.
//!
//! An instance's webhook is the endpoint `default` of the dialect `vzaps`. Answers about webhooks come in an envelope
//! (`{"code", "success", "data"}`), those about instances bare; the latter have the envelope's fields beside their own, because
//! the documentation shows both.

mod answer;
mod body;
mod instances;
mod logs;
mod names;
mod owner;
mod token;
mod webhook;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;
use super::auth::Carrier;
use super::fault::{Fault, Kind};
use super::manner::{Asked, Manner};

/// The name of the dialect.
const DIALECT: &str = "vzaps";

/// Says which instance, in place of a bearer token.
const INSTANCE_TOKEN: &str = "x-instance-token";

/// How it speaks.
pub static MANNER: Manner = Manner {
    name: "vzaps",
    prefixes: &["/token", "/instances"],
    carriers: &[Carrier::Bearer, Carrier::Header(INSTANCE_TOKEN)],
    limit: |_, _| None,
    shape,
    faults: FAULTS,
    fault_schema: "VzapsFault",
    fault_type: "application/json",
};

/// What any route may answer.
const FAULTS: &[(&str, &str)] = &[
    (
        "400",
        "The request cannot be read, or says what cannot be accepted",
    ),
    ("401", "No token, or one that is good for nothing"),
    ("403", "The token is good, but not for this"),
    ("404", "There is no such thing that this token reaches"),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    ("409", "The name is in use"),
    ("413", "The body is larger than what is taken"),
    ("415", "The body is not JSON"),
    ("500", "Something went wrong here"),
    ("503", "Not now; try again"),
];

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct VzapsFault {
    /// The status once more.
    #[schema(example = 400)]
    code: u16,
    /// False.
    #[schema(example = false)]
    success: bool,
    /// What is wrong, and what to do. The SDKs show it.
    error: String,
}

/// What its document has beside its routes.
#[derive(OpenApi)]
#[openapi(components(schemas(VzapsFault)))]
struct Document;

/// Its routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(token::exchange))
        .routes(routes!(instances::create::create))
        .routes(routes!(instances::list::list))
        .routes(routes!(instances::get::get))
        .routes(routes!(webhook::get::get, webhook::set::set))
        .routes(routes!(logs::search::search))
        .routes(routes!(logs::get::get))
        .routes(routes!(logs::retry::retry))
}

/// A fault in its shape.
fn shape(fault: &Fault, _: &Asked) -> Response {
    let kind = match fault.kind {
        Kind::Unacceptable => Kind::Malformed,
        kind => kind,
    };
    let status = kind.status();
    let body = VzapsFault {
        code: status.as_u16(),
        success: false,
        error: fault.message.clone(),
    };
    (status, Json(body)).into_response()
}
