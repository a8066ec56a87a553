//! How often a token may come, counted in Postgres so that it holds over all processes.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::api::Api;
use super::fault::{Fault, Kind};
use super::manner::{ALLOWANCE, Manner, likest, write_allowance};
use crate::model::Access;
pub use crate::model::{Allowance, Limit};

/// Counts one request of a token.
pub async fn count(api: &Api, access: &Access, limit: Limit) -> Result<Allowance, Fault> {
    Ok(api.database.count_within(access, limit).await?)
}

/// Writes `X-RateLimit-*` also on responses to which nobody was counted, for nobody had a good token: the limit is whole then.
pub(super) async fn tell_limit(
    manners: &'static [&'static Manner],
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    let manner = likest(manners, request.uri().path());
    let limit = manner.and_then(|manner| (manner.limit)(request.method(), request.uri()));
    let mut response = next.run(request).await;
    let Some(limit) = limit.filter(|_| !response.headers().contains_key(ALLOWANCE)) else {
        return response;
    };
    if let Some(resets_at) = api.minutes.next(&api.database).await {
        let whole = Allowance::whole(limit, resets_at);
        write_allowance(response.headers_mut(), whole);
    }
    response
}

/// The fault of one too many.
pub fn exceeded() -> Fault {
    Fault::new(
        Kind::TooMany,
        "rate_limited",
        "Rate limit exceeded. Try again later.",
    )
}
