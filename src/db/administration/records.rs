//! Instances and endpoints as the HTTP APIs read them: whole rows, secrets sealed as they rest, and never beyond a caller's reach.

use sqlx::FromRow;
use time::OffsetDateTime;

use super::Change;
use crate::db::{Database, Error};
use crate::model::Reach;

/// A row of `postrider.instances`.
#[derive(Debug, Clone, FromRow)]
pub struct Instance {
    /// Private key.
    pub id: i64,
    /// Public id.
    pub uid: String,
    /// Public id in the form VZaps clients expect.
    pub vzaps_id: String,
    /// What its account calls it.
    pub name: String,
    /// What SQL calls it: hand this to what is no caller's, as public functions are.
    pub sql_name: String,
    /// Its owner.
    pub account_id: i64,
    /// Its token as it rests; `Keyring::open` opens it.
    pub token: Option<String>,
    /// What envelopes that have a sender put there.
    pub sender: Option<String>,
    /// What else its dialect keeps of it.
    pub details: serde_json::Value,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

/// A row of `postrider.endpoints`.
#[derive(Debug, Clone, FromRow)]
pub struct EndpointRecord {
    /// Private key, shown by `/v1` and the command line.
    pub id: i64,
    /// Public id, for dialects that show one.
    pub uid: String,
    /// Its instance.
    pub instance_id: i64,
    /// Whether it is its instance's part of the global webhook.
    pub is_global: bool,
    /// Its owner's name for it.
    pub label: String,
    /// How deliveries go out.
    pub channel: String,
    /// Whose envelope they wear.
    pub dialect: String,
    /// Where they go.
    pub url: String,
    /// Event types it wants; empty means all.
    pub events: Vec<String>,
    /// Whether the event type is appended to the URL.
    pub by_events: bool,
    /// Whether it wants base64 media inside the event.
    pub media_base64: bool,
    /// The full `Authorization` header as it rests.
    pub authorization_header: Option<String>,
    /// Custom headers as they rest: opened, a JSON object of strings.
    pub headers: Option<String>,
    /// What its channel and its dialect need beside the rest, as it rests: opened, a JSON object.
    pub settings: Option<String>,
    /// Its row of the backoff table.
    pub schedule: String,
    /// Its own limit of attempts.
    pub max_attempts: Option<i32>,
    /// Its own timeout.
    pub timeout_ms: Option<i32>,
    /// Its own limit of attempts in flight.
    pub max_in_flight: Option<i32>,
    /// enabled, paused or disabled.
    pub state: String,
    /// Why it is not enabled.
    pub state_reason: Option<String>,
    /// Since when.
    pub state_changed_at: OffsetDateTime,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

/// Which endpoints of an instance. What is none does not narrow it.
#[derive(Debug, Clone, Copy, Default)]
pub struct EndpointFilter<'a> {
    /// Of this dialect.
    pub dialect: Option<&'a str>,
    /// Of this channel.
    pub channel: Option<&'a str>,
    /// With this label.
    pub label: Option<&'a str>,
    /// With this private key.
    pub id: Option<i64>,
    /// With this public id.
    pub uid: Option<&'a str>,
}

impl Database {
    /// The instance a caller means, by its name, its UUID or its `VZ…` id. None where there is none within reach.
    pub async fn find_instance(
        &self,
        reach: Reach,
        named: &str,
    ) -> Result<Option<Instance>, Error> {
        // Postgres takes no NUL in a text, and so nothing is called so.
        if named.contains('\0') {
            return Ok(None);
        }
        sqlx::query_as(
            "-- instances.find: by name or public id, within reach
            select id, uid::text, vzaps_id, called as name, name as sql_name, account_id, token, sender, details, created_at, updated_at
            from postrider.instances
            where account_id = $1 and ($2::bigint is null or id = $2)
              and (called = $3 or vzaps_id = $3 or uid = case when $3 ~ '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$' then $3::uuid end)
            order by called = $3 desc limit 1",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(named)
        .fetch_optional(self.pool())
        .await
        .map_err(Error::refusal_or_doing("look the instance up"))
    }

    /// A page of the instances within reach, by private key.
    pub async fn instances_within(
        &self,
        reach: Reach,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Instance>, Error> {
        sqlx::query_as(
            "-- instances.page: within reach
            select id, uid::text, vzaps_id, called as name, name as sql_name, account_id, token, sender, details, created_at, updated_at
            from postrider.instances
            where account_id = $1 and ($2::bigint is null or id = $2) and id > $3
            order by id limit $4",
        )
        .bind(reach.account)
        .bind(reach.instance)
        .bind(after)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list instances"))
    }

    /// All instances of these accounts.
    pub async fn instances_of(&self, accounts: &[i64]) -> Result<Vec<Instance>, Error> {
        sqlx::query_as(
            "-- instances.of_accounts: all of them
            select id, uid::text, vzaps_id, called as name, name as sql_name, account_id, token, sender, details, created_at, updated_at
            from postrider.instances
            where account_id = any($1)
            order by id",
        )
        .bind(accounts)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list instances"))
    }

    /// Changes what a dialect keeps of an instance, and its sender; details that are none stay.
    pub async fn update_instance(
        &self,
        id: i64,
        sender: Change<&str>,
        details: Option<&serde_json::Value>,
    ) -> Result<(), Error> {
        let (is_changed, sender) = match sender {
            Change::Keep => (false, None),
            Change::Remove => (true, None),
            Change::To(sender) => (true, Some(sender)),
        };
        sqlx::query(
            "-- instances.update: sender and details
            update postrider.instances set sender = case when $2 then $3 else sender end, details = coalesce($4, details), updated_at = clock_timestamp() where id = $1",
        )
        .bind(id)
        .bind(is_changed)
        .bind(sender)
        .bind(details)
        .execute(self.pool())
        .await
        .map_err(Error::refusal_or_doing("change the instance"))?;
        Ok(())
    }

    /// Endpoints of an instance, by label; the instance was found within the caller's reach before. Its part of the global
    /// webhook is not its owner's, and not among them.
    pub async fn endpoint_records(
        &self,
        instance: &Instance,
        filter: EndpointFilter<'_>,
    ) -> Result<Vec<EndpointRecord>, Error> {
        sqlx::query_as(
            "-- endpoints.records: of one instance, secrets as they rest
            select id, uid::text, instance_id, is_global, label, channel, dialect, url, events, by_events, media_base64, authorization_header, headers
              , settings, schedule, max_attempts, timeout_ms, max_in_flight, state, state_reason, state_changed_at, created_at, updated_at
            from postrider.endpoints
            where instance_id = $1 and not is_global and ($2::text is null or dialect = $2) and ($3::text is null or channel = $3)
              and ($4::text is null or label = $4) and ($5::bigint is null or id = $5) and ($6::text is null or uid::text = $6)
            order by label collate \"C\", id",
        )
        .bind(instance.id)
        .bind(filter.dialect)
        .bind(filter.channel)
        .bind(filter.label)
        .bind(filter.id)
        .bind(filter.uid)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list endpoints"))
    }
}
