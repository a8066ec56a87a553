//! The API of Evolution API (and of its Lite), for clients that speak it. Where its documents and the system itself differ, the
//! documents count unless `evolution.compat` says otherwise; the compatibility table in the README has every such place.
//!
//! - `tenant`: who calls and for which instance; what comes first, 401 or 404.
//! - `body`: what `…/set` and `/instance/create` take, in all the spellings there are, and what they complain of.
//! - `channel`: `set` and `find` over the endpoints of this dialect; `webhook`, `pusher` and `plain` are their routes.
//! - `view`: endpoints and instances as it shows them. `fault`: what goes wrong, in its shape.
//! - `instance`: instances, and the events about them that Postrider itself emits. `start`: what is done once, at the start.

mod body;
mod channel;
mod fault;
mod instance;
mod plain;
mod pusher;
mod start;
mod tenant;
mod view;
mod webhook;

pub(super) use instance::{born, bury};
pub use start::start;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::api::Api;
use super::auth::Carrier;
use super::manner::Manner;

/// How it speaks.
pub static MANNER: Manner = Manner {
    name: "evolution",
    prefixes: &[
        "/instance",
        "/webhook",
        "/websocket",
        "/rabbitmq",
        "/sqs",
        "/pusher",
    ],
    carriers: &[Carrier::Header("apikey")],
    limit: |_, _| None,
    shape: fault::shape,
    faults: fault::FAULTS,
    fault_schema: "EvolutionFault",
    fault_type: "application/json",
};

/// What its document has beside its routes.
#[derive(OpenApi)]
#[openapi(components(schemas(fault::EvolutionFault)))]
struct Document;

/// Its routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(webhook::router())
        .merge(plain::router())
        .merge(pusher::router())
        .merge(instance::router())
}
