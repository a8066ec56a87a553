//! The API of RyzeAPI, for clients that speak it. Contract: its part of the compatibility table in the README.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::api::Api;
use super::auth::Carrier;
use super::fault::Fault;
use super::manner::{Asked, Manner};

/// How it speaks.
pub static MANNER: Manner = Manner {
    name: "ryze",
    prefixes: &["/api"],
    carriers: &[
        Carrier::Header("token"),
        Carrier::Bearer,
        Carrier::Query("token"),
    ],
    limit: |_, _| None,
    shape,
    faults: &[],
    fault_schema: "RyzeFault",
    fault_type: "application/json",
};

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct RyzeFault {
    /// In words.
    message: String,
}

/// What its document has beside its routes.
#[derive(OpenApi)]
#[openapi(components(schemas(RyzeFault)))]
struct Document;

/// Its routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// A fault in its shape.
fn shape(fault: &Fault, _: &Asked) -> Response {
    (
        fault.kind.status(),
        Json(json!({ "message": fault.message })),
    )
        .into_response()
}
