//! Endpoints: who wants to know. Those of every dialect and every channel.

mod act;
mod change;
mod create;
mod read;
mod settings;
mod values;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::administration::{EndpointShown, ShownFilter};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::fault::{Fault, Kind};

/// Their routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(read::of_instance, create::create))
        .routes(routes!(read::list))
        .routes(routes!(read::get, change::change, change::delete))
        .routes(routes!(act::rotate_secret))
        .routes(routes!(act::test))
        .routes(routes!(act::replay))
}

/// The endpoint of this id, within the caller's reach.
async fn find(api: &Api, caller: &Caller, id: i64) -> Result<EndpointShown, Fault> {
    let filter = ShownFilter {
        id: Some(id),
        ..ShownFilter::default()
    };
    let mut found = api
        .database
        .endpoints_shown(caller.reach(), filter, 0, 1)
        .await?;
    found.pop().ok_or_else(|| {
        let message = format!("there is no endpoint {id} that this token reaches");
        Fault::new(Kind::NotFound, "endpoint_not_found", message)
    })
}

/// Deliveries go out of the queue only for webhooks so far.
fn require_queue(endpoint: &EndpointShown) -> Result<(), Fault> {
    if endpoint.line.channel == "webhook" {
        return Ok(());
    }
    let message = format!(
        "endpoint {} is of channel {}, for which nothing is queued; this is for webhooks",
        endpoint.line.id, endpoint.line.channel
    );
    Err(Fault::new(Kind::Conflict, "nothing_is_queued", message))
}
