//! The queue as a whole, and the backoff table.

use axum::extract::State;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::administration::QueueLine;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::Json;
use crate::http::fault::Fault;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(statistics))
        .routes(routes!(schedules))
}

/// Rows of the queue.
#[derive(Debug, Serialize, ToSchema)]
struct QueueView {
    /// Of which channel.
    channel: String,
    /// pending, delivered or failed.
    status: String,
    /// How many.
    rows: i64,
    /// When that was so: a few seconds ago.
    #[serde(with = "time::serde::rfc3339")]
    as_of: OffsetDateTime,
    /// The oldest due delivery that nobody held then.
    #[serde(with = "time::serde::rfc3339::option")]
    oldest_due_at: Option<OffsetDateTime>,
}

impl From<QueueLine> for QueueView {
    fn from(line: QueueLine) -> Self {
        Self {
            channel: line.channel,
            status: line.status,
            rows: line.rows,
            as_of: line.as_of,
            oldest_due_at: line.oldest_due_at,
        }
    }
}

/// The queue by channel and status.
#[derive(Debug, Serialize, ToSchema)]
struct QueueStatistics {
    /// One for each channel and status of which there are rows.
    items: Vec<QueueView>,
    /// Whether all rows were counted. Figures that are not an operator's are counted when they are asked for, and not without end.
    complete: bool,
}

/// Schedules.
#[derive(Debug, Serialize, ToSchema)]
struct Schedules {
    /// Their names.
    items: Vec<String>,
}

/// How much is in the queue
///
/// For operators: of all accounts and by every status, cheap at any size. For others: what is pending and what has failed of
/// that which their token reaches, counted now.
#[utoipa::path(get, path = "/v1/queue", tag = "queue", security(("bearer" = [])),
    responses((status = 200, description = "The queue by channel and status", body = QueueStatistics)))]
async fn statistics(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<QueueStatistics>, Fault> {
    // What all accounts have together is nothing that one of them may learn.
    let (lines, complete) = if caller.reach().operator {
        (api.database.queue_stats().await?, true)
    } else {
        api.database.queue_stats_within(caller.reach()).await?
    };
    Ok(Json(QueueStatistics {
        complete,
        items: lines.into_iter().map(QueueView::from).collect(),
    }))
}

/// Lists the schedules that endpoints may name
#[utoipa::path(get, path = "/v1/schedules", tag = "queue", security(("bearer" = [])),
    responses((status = 200, description = "Their names", body = Schedules)))]
async fn schedules(State(api): State<Api>, _: Caller) -> Result<Json<Schedules>, Fault> {
    let items = api.database.schedule_names().await?;
    Ok(Json(Schedules { items }))
}
