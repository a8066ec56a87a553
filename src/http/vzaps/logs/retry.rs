//! `POST /instances/:id/webhook/logs/:logId/retry`

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::DIALECT;
use super::super::answer::{VzapsEnvelope, enveloped};
use super::super::owner::Owner;
use super::{PREFIX, delivery_of, not_found};
use crate::http::api::Api;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// That it is tried again.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsLogRetry {
    /// The log.
    #[schema(example = "log_123")]
    id: String,
    /// `pending`.
    #[schema(example = "pending")]
    status: &'static str,
    /// The same in words.
    message: &'static str,
}

/// Retry a delivery
///
/// A failed or delivered one gets a full new cycle of attempts; a pending one is due at once.
#[utoipa::path(
    post,
    path = "/instances/{id}/webhook/logs/{logId}/retry",
    operation_id = "vzaps_log_retry",
    params(
        ("id" = String, Path, description = "The instance's `VZ…` id"),
        ("logId" = String, Path, description = "The log's id"),
    ),
    responses((status = 200, description = "It is tried again", body = VzapsEnvelope<VzapsLogRetry>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn retry(
    State(api): State<Api>,
    owner: Owner,
    Path((id, log)): Path<(String, String)>,
) -> Result<Json<VzapsEnvelope<VzapsLogRetry>>, Fault> {
    let instance = owner.instance(&api, &id).await?;
    let delivery = delivery_of(&log)?;
    if !api
        .database
        .retry_delivery(&instance, DIALECT, delivery)
        .await?
    {
        return Err(not_found(&log));
    }
    Ok(enveloped(VzapsLogRetry {
        id: format!("{PREFIX}{delivery}"),
        status: "pending",
        message: "the delivery is tried again",
    }))
}
