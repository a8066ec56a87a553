//! Looking for instances: a page of those within reach, sorted and narrowed, each with its webhook of one dialect.

use sqlx::FromRow;

use super::Instance;
use crate::db::{Database, Error};
use crate::model::Reach;

/// By what instances are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceOrder {
    /// By name.
    Name,
    /// By when they were made.
    CreatedAt,
    /// By when they last changed.
    UpdatedAt,
}

/// Which instances, and how.
#[derive(Debug, Clone, Copy)]
pub struct InstanceSearch<'a> {
    /// A part of the name in any case, or the whole `VZ…` id.
    pub query: Option<&'a str>,
    /// Whose webhook is shown with them.
    pub dialect: &'a str,
    /// By what they are sorted.
    pub order: InstanceOrder,
    /// The last first.
    pub descending: bool,
    /// How many to skip, and how many to take.
    pub range: (i64, i64),
}

/// An instance with its webhook labelled `default`, where it has one.
#[derive(Debug, Clone, FromRow)]
pub struct InstanceWithWebhook {
    /// The instance.
    #[sqlx(flatten)]
    pub instance: Instance,
    /// Where callbacks go.
    pub webhook: Option<String>,
    /// Event types it wants; empty means all.
    pub events: Option<Vec<String>>,
}

/// The condition by which instances are looked for.
macro_rules! within {
    () => {
        "instance.account_id = $1 and ($2::bigint is null or instance.id = $2)
            and ($3::text is null or position(lower($3) in lower(instance.called)) > 0 or instance.vzaps_id = $3)"
    };
}

impl Database {
    /// A page of the instances within reach, and how many there are in all.
    pub async fn search_instances(
        &self,
        reach: Reach,
        search: &InstanceSearch<'_>,
    ) -> Result<(Vec<InstanceWithWebhook>, i64), Error> {
        let total = sqlx::query_scalar(concat!(
            "-- instances.count: within reach, narrowed
            select count(*) from postrider.instances instance where ",
            within!()
        ))
        .bind(reach.account)
        .bind(reach.instance)
        .bind(search.query)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("count instances"))?;
        let order = match search.order {
            InstanceOrder::Name => "name",
            InstanceOrder::CreatedAt => "created_at",
            InstanceOrder::UpdatedAt => "updated_at",
        };
        let (offset, limit) = search.range;
        let found = sqlx::query_as(concat!(
            "-- instances.search: within reach, narrowed and sorted, each with its webhook
            select instance.id, instance.uid::text, instance.vzaps_id, instance.called as name, instance.name as sql_name, instance.account_id, instance.token, instance.sender
              , instance.details, instance.created_at, instance.updated_at, endpoint.url as webhook, endpoint.events
            from postrider.instances instance
            left join postrider.endpoints endpoint on endpoint.instance_id = instance.id
              and (endpoint.dialect, endpoint.channel, endpoint.label) = ($4, 'webhook', 'default')
            where ",
            within!(),
            " order by case when $5 = 'name' and not $6 then instance.called end
              , case when $5 = 'name' and $6 then instance.called end desc
              , case when $5 <> 'name' then extract(epoch from case $5 when 'created_at' then instance.created_at else instance.updated_at end) end
                  * case when $6 then -1 else 1 end
              , instance.id * case when $6 then -1 else 1 end
            offset $7 limit $8"
        ))
        .bind(reach.account)
        .bind(reach.instance)
        .bind(search.query)
        .bind(search.dialect)
        .bind(order)
        .bind(search.descending)
        .bind(offset)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("search instances"))?;
        Ok((found, total))
    }

    /// The account that client credentials belong to, by their public half.
    pub async fn account_of_client(&self, client_id: &str) -> Result<Option<i64>, Error> {
        sqlx::query_scalar(
            "-- tokens.account_of_client: while the credentials are good
            select account_id from postrider.tokens where client_id = $1 and revoked_at is null",
        )
        .bind(client_id)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("look client credentials up"))
    }
}
