//! Instances, as far as Postrider has them: it keeps names, keys and endpoints, and no connection to `WhatsApp`. What is asked
//! of that connection is answered from what was last said of it.

mod create;
mod delete;
mod list;
mod news;
mod request;
mod state;

pub(in crate::http) use news::{born, bury};

use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::administration::Instance;
use crate::http::api::Api;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(list::list))
        .routes(routes!(delete::delete))
        .routes(routes!(state::connection_state))
        .routes(routes!(state::connect))
        .routes(routes!(state::restart))
        .routes(routes!(state::logout))
}

/// The detail that says whether it is connected.
const STATUS: &str = "connectionStatus";

/// What was last said of its connection. An application that emits its events is taken to be connected.
fn connection(instance: &Instance) -> &str {
    instance
        .details
        .get(STATUS)
        .and_then(Value::as_str)
        .unwrap_or("open")
}
