//! `GET /instances/:id/webhook/logs/:logId`

use axum::extract::State;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::super::DIALECT;
use super::super::answer::{VzapsEnvelope, enveloped};
use super::super::owner::Owner;
use super::{VzapsLog, delivery_of, not_found};
use crate::db::administration::{AttemptLine, DeliveryLog, Instance};
use crate::dialect::{Dialect, Identity, Parts, envelope, timestamp};
use crate::http::api::Api;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// A delivery with what was sent and every attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsLogDetail {
    /// The delivery.
    #[serde(flatten)]
    log: VzapsLog,
    /// The body that is sent.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
    /// The attempts, the earliest first.
    history: Vec<Try>,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VzapsLogAttempt)]
struct Try {
    /// Its number within the cycle.
    attempt: i32,
    /// When it began.
    #[schema(format = DateTime)]
    at: String,
    /// How long it took.
    duration_ms: i32,
    /// `delivered`, `retry` or `failed`.
    outcome: String,
    /// What the receiver answered.
    status_code: Option<i32>,
    /// What went wrong.
    error: Option<String>,
}

impl From<AttemptLine> for Try {
    fn from(line: AttemptLine) -> Self {
        Self {
            attempt: line.attempt,
            at: timestamp(line.at),
            duration_ms: line.duration_ms,
            outcome: line.outcome,
            status_code: line.status,
            error: line.detail,
        }
    }
}

/// The body as the receiver gets it.
fn sent(api: &Api, instance: &Instance, delivery: &DeliveryLog) -> Result<Box<RawValue>, Fault> {
    let identity = Identity {
        uid: instance.uid.clone(),
        vzaps_id: instance.vzaps_id.clone(),
        sender: instance.sender.clone(),
        created_at: instance.created_at,
    };
    let body = envelope(
        Dialect::Vzaps,
        &Parts {
            event_id: delivery.event_id.as_deref().unwrap_or_default(),
            event_type: &delivery.event_type,
            instance: &instance.name,
            identity: &identity,
            sender: None,
            instance_token: None,
            base_url: &api.public_url,
            destination: &delivery.url,
            occurred_at: delivery.occurred_at,
            data: &delivery.payload,
        },
    );
    // A row that somebody inserted by hand may hold anything.
    let shown = serde_json::from_slice(&body);
    shown
        .or_else(|_| to_raw_value(&String::from_utf8_lossy(&body)))
        .map_err(|error| Fault::internal(&error))
}

/// Get a log of the webhook
#[utoipa::path(
    get,
    path = "/instances/{id}/webhook/logs/{logId}",
    operation_id = "vzaps_log_get",
    params(
        ("id" = String, Path, description = "The instance's `VZ…` id"),
        ("logId" = String, Path, description = "The log's id"),
    ),
    responses((status = 200, description = "The delivery", body = VzapsEnvelope<VzapsLogDetail>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn get(
    State(api): State<Api>,
    owner: Owner,
    Path((id, log)): Path<(String, String)>,
) -> Result<Json<VzapsEnvelope<VzapsLogDetail>>, Fault> {
    let instance = owner.instance(&api, &id).await?;
    let delivery = delivery_of(&log)?;
    let found = api
        .database
        .delivery_log(&instance, DIALECT, delivery)
        .await?;
    let found = found.ok_or_else(|| not_found(&log))?;
    let attempts = api.database.attempts_of(delivery).await?;
    Ok(enveloped(VzapsLogDetail {
        log: VzapsLog::new(&instance, &found),
        payload: sent(&api, &instance, &found)?,
        history: attempts.into_iter().map(Try::from).collect(),
    }))
}
