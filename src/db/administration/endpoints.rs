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

/// An endpoint to be made or changed. What is none stays as it is, or takes its default.
#[derive(Debug)]
pub struct EndpointChanges<'a> {
    /// Its owner.
    pub instance: &'a str,
    /// Where deliveries go.
    pub url: &'a str,
    /// The owner's name for it.
    pub label: &'a str,
    /// Whose envelope they wear.
    pub dialect: &'a str,
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
        let seal = |secret: &SecretString| keyring.seal(secret, &mut rand::rng());
        let id = call_set_endpoint(&mut transaction, changes, &seal).await?;
        set_headers(&mut transaction, id, &changes.headers, &seal).await?;
        if matches!(changes.authorization, Change::Remove) {
            sqlx::query("update postrider.endpoints set authorization_header = null where id = $1")
                .bind(id)
                .persistent(false)
                .execute(&mut *transaction)
                .await
                .map_err(Error::refusal_or_doing(
                    "remove the endpoint's authorization",
                ))?;
        }
        match &changes.signing {
            Change::Keep => {}
            Change::Remove => {
                sqlx::query("delete from postrider.signing_secrets where endpoint_id = $1")
                    .bind(id)
                    .persistent(false)
                    .execute(&mut *transaction)
                    .await
                    .map_err(Error::refusal_or_doing(
                        "remove the endpoint's signing secrets",
                    ))?;
            }
            Change::To(secret) => rotate(&mut transaction, id, &seal(secret.text())).await?,
        }
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
        sqlx::query_scalar("select postrider.delete_endpoint($1)")
            .bind(id)
            .fetch_one(self.pool())
            .await
            .map_err(Error::refusal_or_doing("delete the endpoint"))
    }

    /// Signs with a new secret from now on; what was current signs beside it for 24 h.
    pub async fn rotate_signing_secret(
        &self,
        id: i64,
        secret: &SigningSecret,
        keyring: &Keyring,
    ) -> Result<(), Error> {
        let mut transaction = self
            .pool()
            .begin()
            .await
            .map_err(Error::doing("rotate the signing secret"))?;
        let sealed = keyring.seal(secret.text(), &mut rand::rng());
        rotate(&mut transaction, id, &sealed).await?;
        transaction
            .commit()
            .await
            .map_err(Error::doing("rotate the signing secret"))
    }
}

/// The public function, with everything it takes in a sealed form.
async fn call_set_endpoint(
    transaction: &mut sqlx::PgTransaction<'_>,
    changes: &EndpointChanges<'_>,
    seal: &impl Fn(&SecretString) -> String,
) -> Result<i64, Error> {
    let authorization = match &changes.authorization {
        Change::To(header) => Some(seal(header)),
        Change::Keep | Change::Remove => None,
    };
    sqlx::query_scalar(
        "-- endpoints.set: by the public function; headers and signing secrets follow, sealed
        select postrider.set_endpoint(instance => $1, url => $2, label => $3, events => $4, dialect => $5, authorization_header => $6
          , by_events => $7, media_base64 => $8, schedule => $9, max_attempts => $10, timeout_ms => $11, max_in_flight => $12)",
    )
    .bind(changes.instance)
    .bind(changes.url)
    .bind(changes.label)
    .bind(changes.events.as_deref())
    .bind(changes.dialect)
    .bind(authorization)
    .bind(changes.by_events)
    .bind(changes.media_base64)
    .bind(changes.schedule)
    .bind(changes.max_attempts)
    .bind(changes.timeout_ms)
    .bind(changes.max_in_flight)
    .persistent(false)
    .fetch_one(&mut **transaction)
    .await
    .map_err(Error::refusal_or_doing("set the endpoint"))
}

/// Custom headers, sealed as a whole. The public function wants to read them, so it is not given them.
async fn set_headers(
    transaction: &mut sqlx::PgTransaction<'_>,
    id: i64,
    headers: &Change<BTreeMap<String, SecretString>>,
    seal: &impl Fn(&SecretString) -> String,
) -> Result<(), Error> {
    let sealed = match headers {
        Change::Keep => return Ok(()),
        Change::Remove => None,
        Change::To(headers) => {
            let exposed: serde_json::Map<String, serde_json::Value> = headers
                .iter()
                .map(|(name, value)| (name.clone(), value.expose_secret().into()))
                .collect();
            let text = serde_json::Value::Object(exposed).to_string();
            Some(seal(&SecretString::from(text)))
        }
    };
    sqlx::query("update postrider.endpoints set headers = $2 where id = $1")
        .bind(id)
        .bind(sealed)
        .persistent(false)
        .execute(&mut **transaction)
        .await
        .map_err(Error::refusal_or_doing("set the endpoint's headers"))?;
    Ok(())
}

/// Makes a secret the current one of its endpoint.
async fn rotate(
    transaction: &mut sqlx::PgTransaction<'_>,
    id: i64,
    sealed: &str,
) -> Result<(), Error> {
    sqlx::query(
        "-- signing_secrets.retire: what is current signs for 24 h more
        update postrider.signing_secrets set expires_at = now() + interval '24 hours'
        where endpoint_id = $1 and expires_at is null",
    )
    .bind(id)
    .persistent(false)
    .execute(&mut **transaction)
    .await
    .map_err(Error::refusal_or_doing("retire the former signing secret"))?;
    sqlx::query("insert into postrider.signing_secrets (endpoint_id, secret) values ($1, $2)")
        .bind(id)
        .bind(sealed)
        .persistent(false)
        .execute(&mut **transaction)
        .await
        .map_err(Error::refusal_or_doing("write the signing secret"))?;
    Ok(())
}
