//! Changes to an endpoint that is there, named by its public id: some dialects have several endpoints of a name, and change one
//! part at a time.

use std::fmt;

use secrecy::SecretString;

use super::endpoints::{lock_instance, write_endpoint};
use super::{Change, EndpointChanges, EndpointRules, Instance};
use crate::crypto::Keyring;
use crate::db::{Database, Error};

/// Event types as they are to be, from those that an endpoint wants at that moment.
pub type ChangeOfEvents<'a> = dyn Fn(&[String]) -> Vec<String> + Sync + 'a;

/// What becomes of an endpoint. What is none stays.
#[derive(Default)]
pub struct EndpointPatch<'a> {
    /// Where deliveries go.
    pub url: Option<&'a str>,
    /// enabled or disabled.
    pub state: Option<&'a str>,
    /// The events it wants.
    pub events: Option<&'a ChangeOfEvents<'a>>,
    /// What its dialect needs beside the rest, all of it: a JSON object.
    pub settings: Change<SecretString>,
    /// What must hold afterwards.
    pub rules: EndpointRules,
}

/// Without what cannot be shown.
impl fmt::Debug for EndpointPatch<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EndpointPatch")
            .field("url", &self.url)
            .field("state", &self.state)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Changes a webhook of a dialect, all of it or nothing. False where the instance has no such webhook.
    ///
    /// Whoever changes endpoints of an instance so does it one after the other, so that nothing is counted or moved twice.
    pub async fn patch_endpoint(
        &self,
        instance: &Instance,
        (dialect, uid): (&str, &str),
        patch: EndpointPatch<'_>,
        keyring: &Keyring,
    ) -> Result<bool, Error> {
        let begun = self.pool().begin().await;
        let mut transaction = begun.map_err(Error::doing("change the endpoint"))?;
        lock_instance(
            &mut transaction,
            &instance.sql_name,
            Some(instance.account_id),
        )
        .await?;
        let present: Option<(i64, String, String, Vec<String>)> = sqlx::query_as(
            "-- endpoints.present: a webhook of one instance, by its public id
            select id, label, url, events from postrider.endpoints
            where instance_id = $1 and dialect = $2 and uid::text = $3 and channel = 'webhook'",
        )
        .bind(instance.id)
        .bind(dialect)
        .bind(uid)
        .persistent(false)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Error::refusal_or_doing("look the endpoint up"))?;
        let Some((id, label, url, events)) = present else {
            return Ok(false);
        };
        let changes = EndpointChanges {
            instance: &instance.sql_name,
            url: patch.url.unwrap_or(&url),
            label: &label,
            channel: "webhook",
            dialect,
            rules: patch.rules,
            state: patch.state,
            settings: patch.settings,
            events: patch.events.map(|change| change(&events)),
            ..EndpointChanges::default()
        };
        if write_endpoint(&mut transaction, &changes, keyring).await? != id {
            // It was deleted meanwhile, and this would be another one.
            return Ok(false);
        }
        let committed = transaction.commit().await;
        committed.map_err(Error::doing("change the endpoint"))?;
        Ok(true)
    }
}
