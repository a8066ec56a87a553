//! Endpoints as workers use them: secrets opened, defaults applied.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;
use url::Url;

use super::{Database, Error};
use crate::crypto::{Keyring, SigningSecret};
use crate::dialect::{Dialect, Identity};
use crate::model::{Channel, Endpoint, EndpointState, Header, Schedule};

/// A row of the endpoints a worker asks for.
#[derive(sqlx::FromRow)]
struct EndpointRow {
    id: i64,
    version: i64,
    instance: String,
    token: Option<String>,
    uid: String,
    vzaps_id: String,
    sender: Option<String>,
    instance_created_at: OffsetDateTime,
    label: String,
    dialect: String,
    url: String,
    by_events: bool,
    media_fetched: bool,
    authorization_header: Option<String>,
    headers: Option<String>,
    signing: Vec<String>,
    timeout_ms: i32,
    max_in_flight: Option<i32>,
    state: String,
    schedule: String,
    waits: Vec<PgInterval>,
    jitter: f32,
    jitter_both_ways: bool,
    final_statuses: Vec<i32>,
}

/// What a schedule's row holds.
#[derive(sqlx::FromRow)]
struct ScheduleRow {
    name: String,
    waits: Vec<PgInterval>,
    jitter: f32,
    jitter_both_ways: bool,
    final_statuses: Vec<i32>,
    timeout_ms: i32,
}

impl Database {
    /// The endpoints with these ids; those that were deleted are absent.
    pub async fn endpoints(
        &self,
        ids: &[i64],
        keyring: &Keyring,
        in_flight_max: u32,
    ) -> Result<Vec<Endpoint>, Error> {
        let rows: Vec<EndpointRow> = sqlx::query_as(
            "-- endpoints.load: endpoints by id, with schedule and live signing secrets
            select endpoint.id, endpoint.version, case when endpoint.is_global then instance.name else instance.called end as instance, instance.token
              , instance.uid::text, instance.vzaps_id, instance.sender, instance.created_at as instance_created_at, endpoint.label, endpoint.dialect
              , endpoint.url, endpoint.by_events, endpoint.media_fetched, endpoint.authorization_header, endpoint.headers
              , array(select secret.secret from postrider.signing_secrets secret
                      where secret.endpoint_id = endpoint.id and (secret.expires_at is null or secret.expires_at > now())
                      order by secret.id desc) as signing
              , coalesce(endpoint.timeout_ms, schedule.timeout_ms) as timeout_ms, endpoint.max_in_flight, endpoint.state
              , schedule.name as schedule, schedule.waits, schedule.jitter, schedule.jitter_both_ways, schedule.final_statuses
            from postrider.endpoints endpoint
            join postrider.instances instance on instance.id = endpoint.instance_id
            join postrider.schedules schedule on schedule.name = endpoint.schedule
            where endpoint.id = any ($1)",
        )
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .map_err(Error::doing("load endpoints"))?;
        Ok(rows
            .into_iter()
            .map(|row| read_endpoint(row, keyring, in_flight_max))
            .collect())
    }

    /// The versions that these endpoints have now.
    pub async fn endpoint_versions(&self, ids: &[i64]) -> Result<Vec<(i64, i64)>, Error> {
        sqlx::query_as("-- endpoints.versions: have these changed?\n select id, version from postrider.endpoints where id = any ($1)")
            .bind(ids)
            .fetch_all(self.pool())
            .await
            .map_err(Error::doing("look whether endpoints have changed"))
    }

    /// The schedule and timeout of rows without an endpoint.
    pub async fn default_schedule(&self) -> Result<(Arc<Schedule>, Duration), Error> {
        let row: ScheduleRow = sqlx::query_as(
            "-- schedules.default: the backoff of rows without an endpoint
            select name, waits, jitter, jitter_both_ways, final_statuses, timeout_ms from postrider.schedules where name = 'default'",
        )
        .fetch_one(self.pool())
        .await
        .map_err(Error::doing("load the default schedule"))?;
        let timeout = Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or(5000));
        Ok((Arc::new(read_schedule(row)), timeout))
    }
}

/// Turns a row into an endpoint. What cannot be used does not stop the others: such an endpoint says why, and waits.
fn read_endpoint(row: EndpointRow, keyring: &Keyring, in_flight_max: u32) -> Endpoint {
    // One that we do not know was written by a newer version of us.
    let (dialect, dialect_problem) = match row.dialect.parse() {
        Ok(dialect) => (dialect, None),
        Err(unknown) => (
            Dialect::Postrider,
            Some(crate::dialect::UnknownDialect::to_string(&unknown)),
        ),
    };
    let (url, url_problem) = match Url::parse(&row.url) {
        Ok(url) => (url, None),
        Err(error) => (nowhere(), Some(format!("its url is not a URL ({error})"))),
    };
    let state = match row.state.as_str() {
        "enabled" => EndpointState::Enabled,
        "paused" => EndpointState::Paused,
        _ => EndpointState::Disabled,
    };
    let secrets = open_secrets(&row, keyring, dialect.sends_instance_token());
    let (secrets, secret_problem) = match secrets {
        Ok(secrets) => (secrets, None),
        Err(why) => (Secrets::default(), Some(why)),
    };
    Endpoint {
        id: row.id,
        version: row.version,
        instance: row.instance,
        identity: Identity {
            uid: row.uid,
            vzaps_id: row.vzaps_id,
            sender: row.sender,
            created_at: row.instance_created_at,
        },
        label: row.label,
        channel: Channel::Webhook,
        dialect,
        url,
        url_text: row.url,
        by_events: row.by_events,
        fetches_media: row.media_fetched,
        authorization: secrets.authorization,
        headers: secrets.headers,
        signing: secrets.signing,
        timeout: Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or(5000)),
        in_flight_max: row
            .max_in_flight
            .and_then(|most| u32::try_from(most).ok())
            .unwrap_or(in_flight_max),
        schedule: Arc::new(read_schedule(ScheduleRow {
            name: row.schedule,
            waits: row.waits,
            jitter: row.jitter,
            jitter_both_ways: row.jitter_both_ways,
            final_statuses: row.final_statuses,
            timeout_ms: row.timeout_ms,
        })),
        state,
        instance_token: secrets.token,
        sealed_shut: url_problem.or(dialect_problem).or(secret_problem),
    }
}

/// Where nothing is ever sent to: an endpoint that has it also says why it cannot be used.
fn nowhere() -> Url {
    Url::parse("http://invalid.invalid/").expect("a constant URL is one")
}

/// What of an endpoint is secret.
#[derive(Default)]
struct Secrets {
    authorization: Option<HeaderValue>,
    headers: Vec<Header>,
    signing: Vec<SigningSecret>,
    token: Option<SecretString>,
}

/// Opens all that are used, or says which one cannot be and why.
fn open_secrets(row: &EndpointRow, keyring: &Keyring, uses_token: bool) -> Result<Secrets, String> {
    let open = |what: &str, stored: &str| {
        keyring
            .open(stored)
            .map_err(|error| format!("{what}: {error}"))
    };
    let authorization = row
        .authorization_header
        .as_deref()
        .map(|stored| {
            header_value(&open("authorization", stored)?)
                .map_err(|problem| format!("authorization: {problem}"))
        })
        .transpose()?;
    let mut headers = Vec::new();
    if let Some(stored) = row.headers.as_deref() {
        let text = open("headers", stored)?;
        let map: std::collections::BTreeMap<String, SecretString> =
            serde_json::from_str(text.expose_secret())
                .map_err(|_| "headers: not a JSON object of strings".to_owned())?;
        for (name, value) in map {
            let problem = |problem: &str| format!("header {name:?}: {problem}");
            headers.push(Header {
                name: HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| problem("not a header name"))?,
                value: header_value(&value).map_err(problem)?,
            });
        }
    }
    let signing = row
        .signing
        .iter()
        .map(|stored| {
            let text = open("signing secret", stored)?;
            SigningSecret::parse(text.expose_secret()).map_err(|error| error.to_string())
        })
        .collect::<Result<_, _>>()?;
    let token = row
        .token
        .as_deref()
        // Nobody is to suffer from a secret that is not used.
        .filter(|_| uses_token)
        .map(|stored| open("instance token", stored))
        .transpose()?;
    Ok(Secrets {
        authorization,
        headers,
        signing,
        token,
    })
}

/// A header's value that no log shows.
fn header_value(text: &SecretString) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text.expose_secret())
        .map_err(|_| "has characters that no header may have")?;
    value.set_sensitive(true);
    Ok(value)
}

/// A schedule's row as the pure part of the program knows it.
fn read_schedule(row: ScheduleRow) -> Schedule {
    Schedule {
        name: row.name,
        waits: row.waits.iter().map(duration_of).collect(),
        jitter: f64::from(row.jitter),
        jitter_both_ways: row.jitter_both_ways,
        final_statuses: row
            .final_statuses
            .iter()
            .filter_map(|status| u16::try_from(*status).ok())
            .collect(),
    }
}

/// An interval as a length of time, months as 30 days, as Postgres itself counts them.
fn duration_of(interval: &PgInterval) -> Duration {
    let days = i64::from(interval.months) * 30 + i64::from(interval.days);
    let microseconds = days
        .saturating_mul(86_400_000_000)
        .saturating_add(interval.microseconds);
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}
