//! `POST /instances/:id/webhook/logs/search`

use axum::extract::State;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::super::DIALECT;
use super::super::answer::{VzapsEnvelope, enveloped};
use super::super::body::{OptionalJson, Page};
use super::super::names;
use super::super::owner::Owner;
use super::VzapsLog;
use crate::db::administration::LogFilter;
use crate::http::api::Api;
use crate::http::extract::{Json, Path};
use crate::http::fault::Fault;

/// Which deliveries. What narrows them may also stand in `filter`.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsLogSearch {
    /// Which page of them; the first is 1.
    #[schema(minimum = 1, maximum = 1_000_000_000, default = 1)]
    page: Option<i64>,
    /// How many of them make a page.
    #[serde(alias = "page_size", alias = "pageSize")]
    #[schema(minimum = 1, maximum = 1000, default = 20)]
    size: Option<i64>,
    /// With this status.
    status: Option<Status>,
    /// Of this event.
    #[serde(alias = "event_type", alias = "eventType")]
    #[schema(example = "Message")]
    event: Option<String>,
    /// Queued since then.
    #[serde(alias = "from")]
    since: Option<Moment>,
    /// Queued before.
    #[serde(alias = "to")]
    until: Option<Moment>,
    /// The same in another place.
    #[serde(default)]
    filter: Narrow,
}

/// What narrows them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = VzapsLogFilter)]
struct Narrow {
    /// With this status.
    status: Option<Status>,
    /// Of this event.
    #[serde(alias = "event_type", alias = "eventType")]
    #[schema(example = "Message")]
    event: Option<String>,
    /// Queued since then.
    #[serde(alias = "from")]
    since: Option<Moment>,
    /// Queued before.
    #[serde(alias = "to")]
    until: Option<Moment>,
}

/// A point in time.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = VzapsMoment, value_type = String, format = DateTime, example = "2026-04-28T10:30:00Z")]
struct Moment(OffsetDateTime);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map(Self);
        moment.map_err(|_| D::Error::custom("it is no time; write one like 2026-04-28T10:30:00Z"))
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = VzapsLogStatus)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It is tried, now or later.
    #[serde(alias = "PENDING")]
    Pending,
    /// It arrived.
    #[serde(alias = "DELIVERED", alias = "success", alias = "SUCCESS")]
    Delivered,
    /// It is not tried any more.
    #[serde(alias = "FAILED")]
    Failed,
}

impl Status {
    /// As the queue has it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http::vzaps) struct VzapsLogs {
    /// The number of this page.
    page: i64,
    /// How many make a page.
    size: i64,
    /// How many there are in all.
    total: i64,
    /// How many pages they make.
    total_pages: i64,
    /// This page.
    content: Vec<VzapsLog>,
}

/// Search the webhook's log
///
/// The latest first.
#[utoipa::path(
    post,
    path = "/instances/{id}/webhook/logs/search",
    operation_id = "vzaps_log_search",
    params(("id" = String, Path, description = "The instance's `VZ…` id")),
    request_body = Option<VzapsLogSearch>,
    responses((status = 200, description = "A page of deliveries", body = VzapsEnvelope<VzapsLogs>)),
    security(("bearer" = [])),
)]
pub(in crate::http::vzaps) async fn search(
    State(api): State<Api>,
    owner: Owner,
    Path(id): Path<String>,
    OptionalJson(search): OptionalJson<VzapsLogSearch>,
) -> Result<Json<VzapsEnvelope<VzapsLogs>>, Fault> {
    let instance = owner.instance(&api, &id).await?;
    let page = Page::new(search.page, search.size)?;
    let inner = search.filter;
    let event = search.event.or(inner.event);
    let event = event.as_deref();
    if let Some(event) = event {
        names::check("event", event)?;
    }
    let filter = LogFilter {
        status: search.status.or(inner.status).map(Status::as_str),
        event: event.filter(|event| !names::is_all(event)),
        since: search.since.or(inner.since).map(|moment| moment.0),
        until: search.until.or(inner.until).map(|moment| moment.0),
    };
    let (found, total) = api
        .database
        .delivery_logs(&instance, DIALECT, &filter, page.range())
        .await?;
    let (page, size, total_pages) = page.counted(total);
    let content = found
        .iter()
        .map(|delivery| VzapsLog::new(&instance, delivery));
    Ok(enveloped(VzapsLogs {
        page,
        size,
        total,
        total_pages,
        content: content.collect(),
    }))
}
