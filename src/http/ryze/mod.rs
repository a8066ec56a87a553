//! The API of RyzeAPI, for clients that speak it: webhooks by label, the WebSocket's configuration, instances.
//!
//! Texts and shapes are those of its documentation, word for word where it has them; what it leaves open is in the README's
//! compatibility table. Every success says `"success": true`, every failure `"success": false` and why.

mod body;
mod fault;
mod instance;
mod label;
mod webhook;
mod websocket;

use axum::http::{Method, Uri};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;
use super::auth::{Caller, Carrier};
use super::fault::Fault;
use super::limit::Limit;
use super::manner::Manner;
use crate::db::administration::Instance;

/// Its name in tables.
const DIALECT: &str = "ryze";
/// The events it has, in the order of its documentation.
const EVENTS: [&str; 6] = [
    "message.exchange",
    "message.status",
    "call.update",
    "group.flow",
    "instance.state",
    "label.update",
];
/// Where instances are made: the route with a limit of its own.
const NEW_INSTANCE: &str = "/api/instance/new";

/// How it speaks.
pub static MANNER: Manner = Manner {
    name: DIALECT,
    prefixes: &["/api"],
    carriers: &[
        Carrier::Header("token"),
        Carrier::Bearer,
        Carrier::Query("token"),
    ],
    limit: |method, uri| Some(limit(method, uri)),
    shape: fault::shape,
    faults: fault::FAULTS,
    fault_schema: "RyzeFault",
    fault_type: "application/json",
};

/// What its document has beside its routes.
#[derive(OpenApi)]
#[openapi(components(schemas(fault::RyzeFault)))]
struct Document;

/// Its routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(webhook::set, webhook::get_alias, webhook::delete))
        .routes(routes!(webhook::get))
        .routes(routes!(websocket::set))
        .routes(routes!(websocket::get))
        .routes(routes!(instance::create))
        .routes(routes!(instance::list))
        .routes(routes!(instance::delete))
}

/// So many requests a minute for each token.
fn limit(method: &Method, uri: &Uri) -> Limit {
    if method == Method::POST && uri.path() == NEW_INSTANCE {
        return Limit {
            bucket: "ryze-new-instance",
            per_minute: 20,
        };
    }
    Limit::RYZE
}

/// A success without anything to show.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RyzeDone {
    /// Always true.
    success: bool,
    /// What was done.
    message: &'static str,
}

impl RyzeDone {
    /// Done.
    fn with(message: &'static str) -> Self {
        Self {
            success: true,
            message,
        }
    }
}

/// The instance a caller means; not being able to look is told as the documentation has it.
async fn find_instance(api: &Api, caller: &Caller, named: &str) -> Result<Instance, Fault> {
    let found = api.database.find_instance(caller.reach(), named).await;
    let found = found.map_err(fault::failing_to("Failed to get instance"))?;
    found.ok_or_else(|| Fault::instance_not_found(named))
}

/// Event names, each of which there is.
fn known_events(events: &[String]) -> Result<(), String> {
    match events
        .iter()
        .find(|event| !EVENTS.contains(&event.as_str()))
    {
        None => Ok(()),
        Some(unknown) => Err(format!(
            "there is no event {unknown:?}; events may contain {}",
            EVENTS.join(", ")
        )),
    }
}

/// The events an endpoint gets, as its owner sees them: none named means all.
fn shown_events(enabled: bool, events: Vec<String>) -> Vec<String> {
    if enabled && events.is_empty() {
        return EVENTS.map(str::to_owned).to_vec();
    }
    events
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn the_events_are_those_of_the_catalog() {
        let known: BTreeSet<_> = Dialect::Ryze.own_names().collect();
        assert_eq!(known, EVENTS.into_iter().collect());
    }

    #[test]
    fn making_instances_has_a_limit_of_its_own() {
        let of = |method: Method, path: &str| limit(&method, &path.parse().unwrap()).per_minute;
        assert_eq!(of(Method::POST, "/api/instance/new?token=x"), 20);
        assert_eq!(of(Method::GET, "/api/instance/new"), 100);
        assert_eq!(of(Method::GET, "/api/instance/list"), 100);
    }
}
