//! Endpoints, as their owners see and change them; how workers use them is in `db::endpoints`.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;

use crate::crypto::{Keyring, SigningSecret};
use crate::db::{Database, Error};

/// A line of `postrider.endpoint_list`: everything but the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a view")]
pub struct EndpointLine {
    /// Its id.
    pub id: i64,
    /// Its owner.
    pub instance: String,
    /// The owner's name for it.
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
    /// Whether there is an `Authorization` header.
    pub has_authorization: bool,
    /// Whether there are custom headers.
    pub has_headers: bool,
    /// How many signing secrets live; several during a rotation.
    pub signing_secrets: i64,
    /// Its row of the backoff table.
    pub schedule: String,
    /// Attempts before a delivery is dead.
    pub max_attempts: i32,
    /// The whole attempt, in milliseconds.
    pub timeout_ms: i32,
    /// Attempts in flight in one worker; none takes the worker's configuration.
    pub max_in_flight: Option<i32>,
    /// enabled, paused or disabled.
    pub state: String,
    /// Why it is not enabled.
    pub state_reason: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub state_changed_at: OffsetDateTime,
    /// The first failure since its last success.
    #[serde(with = "time::serde::rfc3339::option")]
    pub failing_since: Option<OffsetDateTime>,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What is to become of something an endpoint may have.
#[derive(Debug, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It goes.
    Remove,
    /// It becomes this.
    To(T),
}

impl<T> Change<T> {
    /// As the public function takes it: none keeps, `empty` removes.
    fn written(&self, empty: &str, write: impl FnOnce(&T) -> String) -> Option<String> {
        match self {
            Self::Keep => None,
            Self::Remove => Some(empty.to_owned()),
            Self::To(value) => Some(write(value)),
        }
    }
}

/// An endpoint to be made or changed. What is none stays as it is, or takes its default.
#[derive(Debug, Default)]
pub struct EndpointChanges<'a> {
    /// Its owner.
    pub instance: &'a str,
    /// Where deliveries go; empty for channels that have no URL.
    pub url: &'a str,
    /// The owner's name for it.
    pub label: &'a str,
    /// How deliveries go out.
    pub channel: &'a str,
    /// Whose envelope they wear.
    pub dialect: &'a str,
    /// What must hold beside what the table itself demands.
    pub rules: EndpointRules,
    /// enabled, paused or disabled.
    pub state: Option<&'a str>,
    /// What its channel and its dialect need beside the rest, all of it: a JSON object.
    pub settings: Change<SecretString>,
    /// Event types it wants; empty means all.
    pub events: Option<Vec<String>>,
    /// The full `Authorization` header.
    pub authorization: Change<SecretString>,
    /// Custom request headers, all of them.
    pub headers: Change<BTreeMap<String, SecretString>>,
    /// What signs its deliveries; the former secret lives on for 24 h.
    pub signing: Change<SigningSecret>,
    /// Whether the event type is appended to the URL.
    pub by_events: Option<bool>,
    /// Whether it wants base64 media inside the event.
    pub media_base64: Option<bool>,
    /// Its row of the backoff table.
    pub schedule: Option<&'a str>,
    /// Attempts before a delivery is dead.
    pub max_attempts: Option<i32>,
    /// The whole attempt, in milliseconds.
    pub timeout_ms: Option<i32>,
    /// Attempts in flight in one worker.
    pub max_in_flight: Option<i32>,
}

/// What a dialect demands of an instance's endpoints. Looked at in the transaction that writes, one at a time for an instance.
#[derive(Debug, Clone, Copy, Default)]
pub struct EndpointRules {
    /// So many of the same dialect and channel may be enabled.
    pub enabled_max: Option<i64>,
    /// No other of the same dialect and channel may have the same URL.
    pub url_once: bool,
    /// Whether it is to be there before.
    pub existing: Existing,
    /// Whose the instance was when it was looked up. By now its name could be another's.
    pub account: Option<i64>,
}

/// Whether an endpoint is to be there before it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Either way.
    #[default]
    Any,
    /// It is made.
    No,
    /// It is changed.
    Yes,
}

impl EndpointRules {
    /// Whether there is anything to look at.
    fn are_some(self) -> bool {
        self.enabled_max.is_some() || self.url_once
    }
}

impl Database {
    /// Makes or changes an endpoint, all of it or nothing, and answers with its id.
    pub async fn set_endpoint(
        &self,
        changes: &EndpointChanges<'_>,
        keyring: &Keyring,
    ) -> Result<i64, Error> {
        let mut transaction = self
            .pool()
            .begin()
            .await
            .map_err(Error::doing("set the endpoint"))?;
        let rules = changes.rules;
        if rules.are_some() || rules.existing != Existing::Any || rules.account.is_some() {
            lock_instance(&mut transaction, changes.instance, rules.account).await?;
            hold_to_existing(&mut transaction, changes).await?;
        }
        let id = write_endpoint(&mut transaction, changes, keyring).await?;
        transaction
            .commit()
            .await
            .map_err(Error::doing("set the endpoint"))?;
        Ok(id)
    }

    /// Endpoints: all, those of an instance, or one by its id.
    pub async fn endpoint_lines(
        &self,
        instance: Option<&str>,
        id: Option<i64>,
    ) -> Result<Vec<EndpointLine>, Error> {
        sqlx::query_as(
            "-- endpoints.list: all, those of an instance, or one
            select id, instance, label, channel, dialect, url, events, by_events, media_base64, has_authorization, has_headers
              , signing_secrets, schedule, max_attempts, timeout_ms, max_in_flight, state, state_reason, state_changed_at
              , failing_since, last_error, created_at, updated_at
            from postrider.endpoint_list
            where ($1::text is null or instance = $1) and ($2::bigint is null or id = $2)
            order by instance, label, dialect, id",
        )
        .bind(instance)
        .bind(id)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("list endpoints"))
    }

    /// The id of an endpoint by instance and label.
    pub async fn endpoint_of(&self, instance: &str, label: &str) -> Result<i64, Error> {
        sqlx::query_scalar("select postrider.endpoint_of(instance => $1, label => $2)")
            .bind(instance)
            .bind(label)
            .fetch_one(self.pool())
            .await
            .map_err(Error::refusal_or_doing("look the endpoint up"))
    }

    /// Enables, pauses or disables an endpoint.
    pub async fn set_endpoint_state(
        &self,
        id: i64,
        state: &str,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        sqlx::query(
            "select postrider.set_endpoint_state(endpoint => $1, state => $2, reason => $3)",
        )
        .bind(id)
        .bind(state)
        .bind(reason)
        .execute(self.pool())
        .await
        .map_err(Error::refusal_or_doing("set the endpoint's state"))?;
        Ok(())
    }

    /// Deletes an endpoint. False when there is none.
    pub async fn delete_endpoint(&self, id: i64) -> Result<bool, Error> {
        // What was pending is moved to the dead letters, however much that is.
        let mut transaction = self.unhurried().await?;
        let deleted = sqlx::query_scalar("select postrider.delete_endpoint($1)")
            .persistent(false)
            .bind(id)
            .fetch_one(&mut *transaction)
            .await
            .map_err(Error::refusal_or_doing("delete the endpoint"))?;
        let committed = transaction.commit().await;
        committed.map_err(Error::doing("delete the endpoint"))?;
        Ok(deleted)
    }

    /// Signs with a new secret from now on; what was current signs beside it for 24 h.
    pub async fn rotate_signing_secret(
        &self,
        id: i64,
        secret: &SigningSecret,
        keyring: &Keyring,
    ) -> Result<(), Error> {
        // Before the statement: a random generator cannot be held while it runs.
        let sealed = keyring.seal(secret.text(), &mut rand::rng());
        sqlx::query("select postrider.rotate_signing_secret(endpoint => $1, secret => $2)")
            .bind(id)
            .bind(sealed)
            .execute(self.pool())
            .await
            .map_err(Error::refusal_or_doing("rotate the signing secret"))?;
        Ok(())
    }
}

/// Makes or changes an endpoint, and looks at the rules; where there are any, the instance is locked.
pub(super) async fn write_endpoint(
    transaction: &mut sqlx::PgTransaction<'_>,
    changes: &EndpointChanges<'_>,
    keyring: &Keyring,
) -> Result<i64, Error> {
    let seal = |secret: &SecretString| keyring.seal(secret, &mut rand::rng());
    let id = call_set_endpoint(transaction, changes, &seal).await?;
    set_state(transaction, id, changes.state).await?;
    if changes.rules.are_some() {
        hold_to(transaction, id, changes.rules).await?;
    }
    Ok(id)
}

/// The public function, with secrets in a sealed form; what is empty removes.
async fn call_set_endpoint(
    transaction: &mut sqlx::PgTransaction<'_>,
    changes: &EndpointChanges<'_>,
    seal: &impl Fn(&SecretString) -> String,
) -> Result<i64, Error> {
    let json = |text: &SecretString| sealed_json(text, seal);
    sqlx::query_scalar(
        "-- endpoints.set: by the public function
        select postrider.set_endpoint(instance => $1, url => $2, label => $3, events => $4, dialect => $5, authorization_header => $6
          , by_events => $7, media_base64 => $8, schedule => $9, max_attempts => $10, timeout_ms => $11, max_in_flight => $12, channel => $13
          , headers => $14::text::json, settings => $15::text::json, signing_secret => $16, state => $17)",
    )
    .bind(changes.instance)
    .bind(changes.url)
    .bind(changes.label)
    .bind(changes.events.as_deref())
    .bind(changes.dialect)
    .bind(changes.authorization.written("", seal))
    .bind(changes.by_events)
    .bind(changes.media_base64)
    .bind(changes.schedule)
    .bind(changes.max_attempts)
    .bind(changes.timeout_ms)
    .bind(changes.max_in_flight)
    .bind(changes.channel)
    .bind(changes.headers.written("{}", |headers| json(&as_json(headers))))
    .bind(changes.settings.written("{}", json))
    .bind(changes.signing.written("", |secret| seal(secret.text())))
    .bind(changes.state)
    .persistent(false)
    .fetch_one(&mut **transaction)
    .await
    .map_err(Error::refusal_or_doing("set the endpoint"))
}

/// One writer at a time for an instance, so that what is counted stays so.
pub(super) async fn lock_instance(
    transaction: &mut sqlx::PgTransaction<'_>,
    instance: &str,
    account: Option<i64>,
) -> Result<(), Error> {
    let locked = sqlx::query(
        "select from postrider.instances where name = $1 and ($2::bigint is null or account_id = $2) for no key update",
    )
    .persistent(false)
    .bind(instance)
    .bind(account)
    .execute(&mut **transaction)
    .await
    .map_err(Error::refusal_or_doing("lock the instance"))?;
    if account.is_some() && locked.rows_affected() == 0 {
        return Err(Error::EndpointGone);
    }
    Ok(())
}

/// Whether it is there, as it is to be.
async fn hold_to_existing(
    transaction: &mut sqlx::PgTransaction<'_>,
    changes: &EndpointChanges<'_>,
) -> Result<(), Error> {
    let present: bool = sqlx::query_scalar(
        "-- endpoints.exists: by what is unique of it
        select exists (select from postrider.endpoints endpoint join postrider.instances instance on instance.id = endpoint.instance_id
          where instance.name = $1 and (endpoint.label, endpoint.channel, endpoint.dialect) = ($2, $3, $4))",
    )
    .persistent(false)
    .bind(changes.instance)
    .bind(changes.label)
    .bind(changes.channel)
    .bind(changes.dialect)
    .fetch_one(&mut **transaction)
    .await
    .map_err(Error::refusal_or_doing("look the endpoint up"))?;
    match (changes.rules.existing, present) {
        (Existing::No, true) => Err(Error::EndpointExists),
        (Existing::Yes, false) => Err(Error::EndpointGone),
        _ => Ok(()),
    }
}

/// Whether the endpoint as it is now keeps to the rules.
async fn hold_to(
    transaction: &mut sqlx::PgTransaction<'_>,
    id: i64,
    rules: EndpointRules,
) -> Result<(), Error> {
    let (enabled, twice): (i64, bool) = sqlx::query_as(
        "-- endpoints.hold_to: how many are enabled beside it, and whether one has its URL
        select count(*) filter (where other.state <> 'disabled' and mine.state <> 'disabled'), coalesce(bool_or(other.url = mine.url and other.id <> mine.id), false)
        from postrider.endpoints mine
        join postrider.endpoints other on (other.instance_id, other.dialect, other.channel) = (mine.instance_id, mine.dialect, mine.channel)
        where mine.id = $1",
    )
    .bind(id)
    .persistent(false)
    .fetch_one(&mut **transaction)
    .await
    .map_err(Error::refusal_or_doing("count the instance's endpoints"))?;
    match rules.enabled_max {
        Some(most) if enabled > most => Err(Error::EnabledMax(most)),
        _ if rules.url_once && twice => Err(Error::UrlInUse),
        _ => Ok(()),
    }
}

/// Enables or disables it, where that is said.
async fn set_state(
    transaction: &mut sqlx::PgTransaction<'_>,
    id: i64,
    state: Option<&str>,
) -> Result<(), Error> {
    let Some(state) = state else { return Ok(()) };
    sqlx::query("select postrider.set_endpoint_state(endpoint => $1, state => $2)")
        .bind(id)
        .bind(state)
        .persistent(false)
        .execute(&mut **transaction)
        .await
        .map_err(Error::refusal_or_doing("set the endpoint's state"))?;
    Ok(())
}

/// Custom headers as one text.
fn as_json(headers: &BTreeMap<String, SecretString>) -> SecretString {
    let exposed: serde_json::Map<String, serde_json::Value> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.expose_secret().into()))
        .collect();
    serde_json::Value::Object(exposed).to_string().into()
}

/// A JSON object, sealed as a whole: a JSON string, for the function wants JSON and cannot look inside. Without a key it stays
/// an object.
fn sealed_json(text: &SecretString, seal: impl Fn(&SecretString) -> String) -> String {
    let sealed = seal(text);
    if sealed.starts_with("sealed:") {
        serde_json::Value::from(sealed).to_string()
    } else {
        sealed
    }
}
