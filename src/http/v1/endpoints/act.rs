//! What can be done with an endpoint: another signing secret, a test, everything since a time once more.

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{find, require_queue, values};
use crate::crypto::SigningSecret;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// Another signing secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateRequest {
    /// Take this one; else one is made up.
    signing_secret: Option<String>,
}

/// The secret that signs from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rotated {
    /// It is shown only now.
    signing_secret: String,
    /// How long the former one signs beside it.
    former_valid_hours: u32,
}

/// A test.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestQueued {
    /// The delivery: GET /v1/deliveries/{delivery} tells what became of it.
    delivery: i64,
}

/// Since when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayRequest {
    /// Events from then on are queued once more.
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    /// Only events before then.
    #[serde(default, with = "time::serde::rfc3339::option")]
    until: Option<OffsetDateTime>,
}

/// How many.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replayed {
    /// Deliveries that were queued.
    queued: i64,
}

/// Signs with another secret from now on; what was current signs beside it for 24 hours
#[utoipa::path(post, path = "/v1/endpoints/{endpoint}/rotate-secret", tag = "endpoints", security(("bearer" = [])),
    params(("endpoint" = i64, Path, description = "Its id")),
    responses((status = 200, description = "The secret, shown only now", body = Rotated)))]
pub(super) async fn rotate_secret(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(asked): Json<RotateRequest>,
) -> Result<Json<Rotated>, Fault> {
    let endpoint = find(&api, &caller, id).await?;
    let secret = match &asked.signing_secret {
        Some(text) => values::signing_secret(text)?,
        None => SigningSecret::generate(&mut rand::rng()),
    };
    api.database
        .rotate_signing_secret(endpoint.line.id, &secret, &api.keyring)
        .await?;
    Ok(Json(Rotated {
        signing_secret: secret.text().expose_secret().to_owned(),
        former_valid_hours: 24,
    }))
}

/// Sends a test event to this endpoint and to no other; it is tried once
#[utoipa::path(post, path = "/v1/endpoints/{endpoint}/test", tag = "endpoints", security(("bearer" = [])),
    params(("endpoint" = i64, Path, description = "Its id")),
    responses((status = 202, description = "It is queued", body = TestQueued)))]
pub(super) async fn test(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<TestQueued>), Fault> {
    let endpoint = find(&api, &caller, id).await?;
    require_queue(&endpoint)?;
    let payload = json!({ "test": true, "endpoint": id, "label": endpoint.line.label });
    let delivery = api
        .database
        .queue_test(endpoint.line.id, &payload.to_string())
        .await?;
    Ok((StatusCode::ACCEPTED, Json(TestQueued { delivery })))
}

/// Queues every event since a time once more, whether the endpoint had it or not
///
/// What is still pending too, which then goes out twice. (Dead letters alone: `POST /v1/dead-letters/requeue`.)
/// As far back as retention keeps events, and without a limit: one statement, however many there are. It is done when the
/// answer comes, all of it or nothing.
#[utoipa::path(post, path = "/v1/endpoints/{endpoint}/replay", tag = "endpoints", security(("bearer" = [])),
    params(("endpoint" = i64, Path, description = "Its id")),
    responses((status = 202, description = "They are queued", body = Replayed)))]
pub(super) async fn replay(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(asked): Json<ReplayRequest>,
) -> Result<(StatusCode, Json<Replayed>), Fault> {
    let endpoint = find(&api, &caller, id).await?;
    require_queue(&endpoint)?;
    let queued = api
        .database
        .replay(endpoint.line.id, asked.since, asked.until)
        .await?;
    Ok((StatusCode::ACCEPTED, Json(Replayed { queued })))
}
