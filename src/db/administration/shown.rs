//! Endpoints as `/v1` shows them: the public view, with its settings, and never beyond a caller's reach.

use sqlx::FromRow;

use super::endpoints::EndpointLine;
use crate::db::{Database, Error};
use crate::model::Reach;

/// An endpoint with its health, and its settings as they rest.
#[derive(Debug, Clone, FromRow)]
pub struct EndpointShown {
    /// The line of the public view.
    #[sqlx(flatten)]
    pub line: EndpointLine,
    /// Custom headers as they rest.
    pub sealed_headers: Option<String>,
    /// What its channel and its dialect need beside the rest, as it rests.
    pub sealed_settings: Option<String>,
}

/// Which endpoints. What is none does not narrow it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShownFilter<'a> {
    /// Of an instance, by its private key.
    pub instance: Option<i64>,
    /// With this id.
    pub id: Option<i64>,
    /// Of this channel.
    pub channel: Option<&'a str>,
    /// Of this dialect.
    pub dialect: Option<&'a str>,
}

impl Database {
    /// A page of the endpoints within reach, by id. The global webhook is the operators' to see.
    pub async fn endpoints_shown(
        &self,
        reach: Reach,
        filter: ShownFilter<'_>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<EndpointShown>, Error> {
        sqlx::query_as(
            "-- endpoints.shown: by the public view, within reach
            select list.*, endpoint.headers as sealed_headers, endpoint.settings as sealed_settings
            from postrider.endpoint_list list
            join postrider.endpoints endpoint on endpoint.id = list.id
            join postrider.instances instance on instance.id = endpoint.instance_id
            where instance.account_id = $1 and ($2::bigint is null or instance.id = $2) and ($3::bigint is null or instance.id = $3)
              and ($4::bigint is null or list.id = $4) and ($5::text is null or list.channel = $5) and ($6::text is null or list.dialect = $6)
              and list.id > $7 and (not endpoint.is_global or $9)
            order by list.id limit $8",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(filter.instance)
        .bind(filter.id)
        .bind(filter.channel)
        .bind(filter.dialect)
        .bind(after)
        .bind(limit)
        .bind(reach.operator)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list endpoints"))
    }

    /// The names of the rows of the backoff table.
    pub async fn schedule_names(&self) -> Result<Vec<String>, Error> {
        sqlx::query_scalar("select name from postrider.schedules order by name")
            .fetch_all(self.pool())
            .await
            .map_err(Error::refusal_or_doing("list schedules"))
    }
}
