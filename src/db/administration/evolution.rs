//! What Evolution API has and no other: the global webhook, events about instances, and names that are taken by whomever.

use secrecy::SecretString;

use super::records::{EndpointRecord, Instance};
use crate::crypto::Keyring;
use crate::db::{Database, Error};

/// A last request to an endpoint that goes with its instance.
#[derive(Debug)]
pub struct Farewell {
    /// Where it goes.
    pub url: String,
    /// The whole body.
    pub body: Vec<u8>,
    /// The full `Authorization` header.
    pub authorization: Option<SecretString>,
    /// What it tells.
    pub event_type: &'static str,
}

impl Database {
    /// Whether there is an instance of this name in any account. Not for callers who are not told.
    pub async fn has_instance(&self, name: &str) -> Result<bool, Error> {
        sqlx::query_scalar("select exists (select from postrider.instances where called = $1)")
            .bind(name)
            .fetch_one(self.pool())
            .await
            .map_err(Error::refusal_or_doing("look the name up"))
    }

    /// Sets the webhook that gets these events of all instances; no URL takes it away. Answers with how many endpoints changed.
    pub async fn set_global_webhook(
        &self,
        url: Option<&str>,
        events: &[String],
        by_events: bool,
    ) -> Result<i64, Error> {
        sqlx::query_scalar(
            "select postrider.set_global_webhook(url => $1, events => $2, by_events => $3)",
        )
        .bind(url)
        .bind(events)
        .bind(by_events)
        .fetch_one(self.pool())
        .await
        .map_err(Error::refusal_or_doing("set the global webhook"))
    }

    /// Emits `application.startup` for every instance with an endpoint of Evolution API that wants it.
    pub async fn announce_startup(&self) -> Result<i64, Error> {
        sqlx::query_scalar(
            "-- evolution.announce_startup: set-wise, for those who want it
            select coalesce(cardinality(postrider.emit_rows(
                array_agg(instance.name), array_agg('application.startup'::text)
              , array_agg(json_build_object('instanceName', instance.called, 'instanceId', instance.uid)))), 0)::bigint
            from postrider.instances instance
            where exists (
              select from postrider.endpoints endpoint
              where endpoint.instance_id = instance.id and endpoint.dialect = 'evolution' and endpoint.state <> 'disabled'
                and (endpoint.events = '{}' or 'application.startup' = any (endpoint.events)
                  or 'APPLICATION_STARTUP' = any (endpoint.events)))
            having count(*) > 0",
        )
        .fetch_optional(self.pool())
        .await
        .map(Option::unwrap_or_default)
        .map_err(Error::refusal_or_doing("announce the start"))
    }

    /// The endpoints of Evolution API that these instances have, their parts of the global webhook included.
    pub async fn evolution_endpoints(
        &self,
        instances: &[i64],
    ) -> Result<Vec<EndpointRecord>, Error> {
        sqlx::query_as(
            "-- evolution.endpoints: of many instances
            select id, uid::text, instance_id, is_global, label, channel, dialect, url, events, by_events, media_base64, authorization_header, headers
              , settings, schedule, max_attempts, timeout_ms, max_in_flight, state, state_reason, state_changed_at, created_at, updated_at
            from postrider.endpoints where instance_id = any ($1) and dialect = 'evolution' order by instance_id, label collate \"C\", id",
        )
        .bind(instances)
        .fetch_all(self.pool())
        .await
        .map_err(Error::refusal_or_doing("list endpoints"))
    }

    /// Deletes an instance; these requests are made after it is gone. False when it is gone already.
    pub async fn delete_instance_with(
        &self,
        instance: &Instance,
        farewells: &[Farewell],
        keyring: &Keyring,
    ) -> Result<bool, Error> {
        let doing = || Error::refusal_or_doing("delete the instance");
        // What was pending is moved to the dead letters, however much that is.
        let mut transaction = self.unhurried().await?;
        let deleted: bool = sqlx::query_scalar("select postrider.delete_instance($1)")
            .persistent(false)
            .bind(&instance.sql_name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(doing())?;
        for farewell in farewells.iter().filter(|_| deleted) {
            let sealed = farewell.authorization.as_ref();
            let sealed = sealed.map(|secret| keyring.seal(secret, &mut rand::rng()));
            sqlx::query(
                "-- evolution.farewell: a row without an endpoint, for that is gone
                insert into postrider.webhook_queue (instance_name, url, payload, event_type, auth_header) values ($1, $2, $3, $4, $5)",
            )
            .bind(&instance.sql_name)
            .bind(&farewell.url)
            .bind(&farewell.body)
            .bind(farewell.event_type)
            .bind(sealed)
            .persistent(false)
            .execute(&mut *transaction)
            .await
            .map_err(doing())?;
        }
        transaction.commit().await.map_err(doing())?;
        Ok(deleted)
    }
}
