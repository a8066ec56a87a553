//! The OpenAPI document: made from the routes' own descriptions, completed with what every route may answer.

use axum::Router;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use bytes::Bytes;
use std::sync::LazyLock;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};

use super::api::{Api, openapi};
use super::manner::Manner;
use super::reference;

/// Written once.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| {
    let text = openapi()
        .to_json()
        .expect("an OpenAPI document can be written as JSON");
    Bytes::from(text)
});

/// The same to read, made once.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let document = serde_json::from_slice(&TEXT).expect("it was written as JSON");
    Bytes::from(reference::page(&document))
});

/// What all have in common.
pub(super) fn beginning() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Postrider")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Event delivery out of Postgres. The native API is under /v1; beside it are the APIs of RyzeAPI, Evolution API, CodeChat and VZaps, for clients that already speak them."))
        .build();
    let mut components = Components::new();
    let header = |name: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name)));
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    components.add_security_scheme("apikey", header("apikey"));
    components.add_security_scheme("token", header("token"));
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

/// Adds to each route what its manner may answer to anything, and the dialect as its tag where it has none.
pub(super) fn complete(part: &mut OpenApi, manner: &Manner) {
    for item in part.paths.paths.values_mut() {
        for operation in operations(item) {
            // Our own are grouped by their nouns.
            if manner.name != "v1" {
                operation.tags = Some(vec![manner.name.to_owned()]);
            }
            for (status, text) in manner.faults {
                let known = &mut operation.responses.responses;
                known.entry((*status).to_owned()).or_insert_with(|| {
                    let body = Ref::from_schema_name(manner.fault_schema);
                    let content = ContentBuilder::new().schema(Some(RefOr::Ref(body))).build();
                    let response = ResponseBuilder::new().description(*text);
                    RefOr::T(response.content(manner.fault_type, content).build())
                });
            }
        }
    }
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}

/// Nothing more, so far.
pub(super) fn finish(whole: OpenApi) -> OpenApi {
    whole
}

/// The document, and the page to read it by.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/openapi.json", get(json))
        .route("/docs", get(page))
}

/// The document.
async fn json() -> impl IntoResponse {
    ([("content-type", "application/json")], TEXT.clone())
}

/// The page. It needs nothing from anywhere, and is let have nothing.
async fn page() -> impl IntoResponse {
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    ([("content-security-policy", policy)], Html(PAGE.clone()))
}
