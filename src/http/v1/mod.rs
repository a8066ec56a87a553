//! Our own API. Errors are `application/problem+json` with a stable `code`.

mod accounts;
mod connections;
mod dead_letters;
mod deliveries;
mod endpoints;
mod events;
mod given;
mod instances;
mod page;
mod problem;
mod publish;
mod queue;
mod sender;
mod stream;
mod tokens;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::api::Api;
use super::auth::Carrier;
use super::manner::Manner;

/// How it speaks.
pub static MANNER: Manner = Manner {
    name: "v1",
    prefixes: &["/v1"],
    carriers: &[Carrier::Bearer],
    limit: |_, _| None,
    shape: problem::shape,
    faults: problem::FAULTS,
    fault_schema: "Problem",
    fault_type: "application/problem+json",
};

/// What its document has beside its routes: another role's, which belongs to it.
#[derive(OpenApi)]
#[openapi(paths(stream::open), components(schemas(problem::Problem)))]
struct Document;

/// Its routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(accounts::router())
        .merge(tokens::router())
        .merge(instances::router())
        .merge(endpoints::router())
        .merge(publish::router())
        .merge(events::router())
        .merge(deliveries::router())
        .merge(dead_letters::router())
        .merge(queue::router())
        .merge(connections::router())
}
