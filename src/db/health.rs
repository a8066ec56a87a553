//! What becomes of an endpoint that fails, and who is told.

use std::time::Duration;

use super::queue::storable;
use super::{Database, Error};

/// Shares of the way to auto-disable at which the owner is told.
const ALERTS: [i16; 4] = [50, 70, 90, 100];

/// `$1` endpoint, `$2` error. Whether this is the first failure, how far the owner has been told, for how long it fails, and what the
/// news are to name.
const NOTE_FAILURE: &str =
    "-- health.failed: an endpoint fails, since when and how far on the way to being paused; of one that is being deleted nothing is noted
    insert into postrider.endpoint_health as health (endpoint_id, failing_since, last_failure_at, last_error)
    select endpoint.id, now(), now(), $2 from postrider.endpoints endpoint where endpoint.id = $1 for key share skip locked
    on conflict (endpoint_id) do update
      -- Whoever is sent something once a week has not failed all week.
      set failing_since = case when health.last_failure_at < now() - interval '2 days' then now() else coalesce(health.failing_since, now()) end
        , last_failure_at = now(), last_error = excluded.last_error
    returning health.failing_since = now(), health.alerted_percent
      , extract(epoch from now() - health.failing_since)::double precision
      , (select instance.name from postrider.instances instance join postrider.accounts account on account.id = instance.account_id
         join postrider.endpoints endpoint on endpoint.instance_id = instance.id
         where endpoint.id = $1 and (account.operator or not endpoint.is_global))
      , (select endpoint.label from postrider.endpoints endpoint where endpoint.id = $1)
      , (select endpoint.dialect from postrider.endpoints endpoint where endpoint.id = $1)";

impl Database {
    /// Notes that endpoints have rows set aside, so that maintenance releases them when they are enabled.
    pub async fn mark_held(&self, endpoints: &[i64]) -> Result<(), Error> {
        sqlx::query(
            "-- health.mark_held: rows of these endpoints are set aside
            insert into postrider.endpoint_health (endpoint_id, held_since)
            select endpoint.id, now() from postrider.endpoints endpoint where endpoint.id = any ($1) order by endpoint.id for key share
            on conflict (endpoint_id) do update set held_since = excluded.held_since
              -- Anew, so that it is not taken for old while the rows are still being set aside.
              where endpoint_health.held_since is null or endpoint_health.held_since < now() - interval '2 seconds'",
        )
        .bind(endpoints)
        .execute(self.pool())
        .await
        .map_err(Error::doing("note held endpoints"))?;
        Ok(())
    }

    /// Notes a failure; pauses an endpoint that has failed for all of `disable_after`. Answers whether it did.
    ///
    /// The owner is told by events, at the first failure and at 50, 70, 90 and 100 % of the way. Endpoints of the `ryze` dialect
    /// are never paused for failing: that system does not.
    pub async fn endpoint_failed(
        &self,
        endpoint: i64,
        error: &str,
        disable_after: Option<Duration>,
    ) -> Result<bool, Error> {
        let mut transaction = self
            .pool()
            .begin()
            .await
            .map_err(Error::doing("note a failing endpoint"))?;
        let noted: Option<(bool, i16, f64, Option<String>, String, String)> =
            sqlx::query_as(NOTE_FAILURE)
                .bind(endpoint)
                .bind(storable(error))
                .persistent(false)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(Error::doing("note a failing endpoint"))?;
        let mut disabled = false;
        if let Some((first, alerted, failing_s, instance, label, dialect)) = noted {
            let share = disable_after
                .filter(|_| dialect != "ryze")
                .map_or(0.0, |limit| failing_s / limit.as_secs_f64());
            let reached = ALERTS
                .into_iter()
                .filter(|alert| share * 100.0 >= f64::from(*alert))
                .max()
                .unwrap_or(0);
            if first || reached > alerted {
                sqlx::query("update postrider.endpoint_health set alerted_percent = $2 where endpoint_id = $1")
                    .bind(endpoint)
                    .bind(reached)
                    .persistent(false)
                    .execute(&mut *transaction)
                    .await
                    .map_err(Error::doing("note an alert"))?;
                let data = serde_json::json!({
                    "endpoint": label, "endpoint_id": endpoint, "error": error, "failing_seconds": failing_s, "percent_to_disable": reached,
                });
                announce(
                    &mut transaction,
                    instance.as_deref(),
                    "postrider.endpoint.failing",
                    &data,
                )
                .await?;
            }
            if reached >= 100 {
                disabled = pause(
                    &mut transaction,
                    endpoint,
                    "it has failed without a break for the whole of worker.auto_disable_days",
                )
                .await?;
            }
        }
        transaction
            .commit()
            .await
            .map_err(Error::doing("note a failing endpoint"))?;
        Ok(disabled)
    }

    /// Notes that an endpoint answers again.
    pub async fn endpoint_recovered(&self, endpoint: i64) -> Result<(), Error> {
        let mut transaction = self
            .pool()
            .begin()
            .await
            .map_err(Error::doing("note a recovered endpoint"))?;
        let noted: Option<(Option<String>, String)> = sqlx::query_as(
            "-- health.recovered: an endpoint answers again
            update postrider.endpoint_health health set failing_since = null, alerted_percent = 0
            from postrider.endpoints endpoint join postrider.instances instance on instance.id = endpoint.instance_id
            join postrider.accounts account on account.id = instance.account_id
            where health.endpoint_id = $1 and health.failing_since is not null and endpoint.id = $1
            returning case when account.operator or not endpoint.is_global then instance.name end, endpoint.label",
        )
        .bind(endpoint)
        .persistent(false)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Error::doing("note a recovered endpoint"))?;
        if let Some((instance, label)) = noted {
            let data = serde_json::json!({ "endpoint": label, "endpoint_id": endpoint });
            announce(
                &mut transaction,
                instance.as_deref(),
                "postrider.endpoint.recovered",
                &data,
            )
            .await?;
        }
        transaction
            .commit()
            .await
            .map_err(Error::doing("note a recovered endpoint"))
    }

    /// Pauses an endpoint that asked for it.
    pub async fn endpoint_asked_to_pause(&self, endpoint: i64, why: &str) -> Result<bool, Error> {
        let mut transaction = self
            .pool()
            .begin()
            .await
            .map_err(Error::doing("pause an endpoint"))?;
        let paused = pause(&mut transaction, endpoint, why).await?;
        transaction
            .commit()
            .await
            .map_err(Error::doing("pause an endpoint"))?;
        Ok(paused)
    }

    /// Tells the owners of dead letters, where somebody subscribed to hear it. News of news is not sent: it could loop.
    pub async fn announce_exhausted(&self, deliveries: &[i64]) -> Result<(), Error> {
        sqlx::query(
            "-- health.exhausted: emit postrider.delivery.exhausted for dead letters
            select postrider.emit_rows(array_agg(queue.instance_name), array_agg('postrider.delivery.exhausted'::text)
              , array_agg(json_build_object('delivery', queue.id
                  , 'event_id', case when queue.event_id is not null then postrider.event_id(queue.event_id, queue.event_nonce) end
                  , 'event_type', queue.event_type, 'endpoint', endpoint.label, 'endpoint_id', queue.endpoint_id
                  , 'attempts', queue.attempts, 'error', queue.last_error)))
            from postrider.webhook_queue queue
            join postrider.instances instance on instance.name = queue.instance_name
            join postrider.accounts account on account.id = instance.account_id
            left join postrider.endpoints endpoint on endpoint.id = queue.endpoint_id
            where queue.id = any ($1) and (account.operator or endpoint.is_global is not true) and queue.status = 'failed' and not starts_with(queue.event_type, 'postrider.')
              and exists (select from postrider.endpoints wanting
                          where wanting.instance_id = instance.id and 'postrider.delivery.exhausted' = any (wanting.events))
            having count(*) > 0",
        )
        .bind(deliveries)
        .execute(self.pool())
        .await
        .map_err(Error::doing("tell of dead letters"))?;
        Ok(())
    }
}

/// Pauses an enabled endpoint and tells its owner.
async fn pause(
    transaction: &mut sqlx::PgTransaction<'_>,
    endpoint: i64,
    why: &str,
) -> Result<bool, Error> {
    let paused: Option<(Option<String>, String)> = sqlx::query_as(
        "-- health.pause: an endpoint is not to be sent to until its owner enables it
        update postrider.endpoints endpoint set state = 'paused', state_reason = $2
        from postrider.instances instance join postrider.accounts account on account.id = instance.account_id
        where endpoint.id = $1 and endpoint.state = 'enabled' and instance.id = endpoint.instance_id
        returning case when account.operator or not endpoint.is_global then instance.name end, endpoint.label",
    )
    .bind(endpoint)
    .bind(storable(why))
    .persistent(false)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(Error::doing("pause an endpoint"))?;
    let Some((instance, label)) = paused else {
        return Ok(false);
    };
    let data = serde_json::json!({ "endpoint": label, "endpoint_id": endpoint, "reason": why });
    let instance = instance.as_deref();
    announce(transaction, instance, "postrider.endpoint.disabled", &data).await?;
    Ok(true)
}

/// Emits an event of our own. No instance is to be told where it is about the global webhook: that is the operators' business.
async fn announce(
    transaction: &mut sqlx::PgTransaction<'_>,
    instance: Option<&str>,
    event_type: &str,
    data: &serde_json::Value,
) -> Result<(), Error> {
    let Some(instance) = instance else {
        return Ok(());
    };
    sqlx::query("select postrider.emit($1, $2, $3::text)")
        .bind(instance)
        .bind(event_type)
        .bind(data.to_string())
        .persistent(false)
        .execute(&mut **transaction)
        .await
        .map_err(Error::doing("emit an operational event"))?;
    Ok(())
}
