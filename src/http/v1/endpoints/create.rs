//! Making an endpoint.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::view::{ChannelName, DialectName, EndpointView};
use super::{find, settings, values};
use crate::crypto::SigningSecret;
use crate::db::administration::{Change, EndpointChanges, EndpointRules, Existing, Instance};
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::fault::{Fault, Kind};

/// An endpoint to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointRequest {
    /// Its owner's name for it: 1 to 50 letters, digits, underscores or dashes.
    #[serde(default = "default_label")]
    #[schema(default = "default", pattern = "^[A-Za-z0-9_-]{1,50}$")]
    label: String,
    /// How deliveries go out.
    #[serde(default)]
    channel: ChannelName,
    /// Whose envelope they wear.
    #[serde(default)]
    dialect: DialectName,
    /// Where they go. Webhooks need one.
    #[schema(format = "uri")]
    #[schema(max_length = 2048, format = "uri")]
    url: Option<String>,
    /// Event types it wants; none: all but those that begin with `postrider.`.
    #[serde(default)]
    events: Vec<String>,
    /// Whether the event type is appended to the URL.
    by_events: Option<bool>,
    /// Whether it wants base64 media inside the event; if so, media given by URL alone is fetched.
    media_base64: Option<bool>,
    /// The full value of the `Authorization` header.
    authorization: Option<String>,
    /// Headers to send with every delivery.
    headers: Option<BTreeMap<String, String>>,
    /// true: deliveries are signed with a secret that is made up here, and shown in the answer.
    #[serde(default)]
    sign: bool,
    /// Sign with this one: `whsec_` and base64 of 24 to 64 bytes.
    signing_secret: Option<String>,
    /// Its row of the backoff table.
    schedule: Option<String>,
    /// Attempts before a delivery is dead.
    #[schema(minimum = 1, maximum = 1000)]
    max_attempts: Option<i32>,
    /// The whole attempt, in milliseconds.
    #[schema(minimum = 1000, maximum = 60000)]
    timeout_ms: Option<i32>,
    /// Attempts in flight in one worker.
    #[schema(minimum = 1, maximum = 10000)]
    max_in_flight: Option<i32>,
    /// false: no deliveries are queued for it.
    #[serde(default = "enabled")]
    #[schema(default = true)]
    enabled: bool,
    /// What its channel needs. rabbitmq: uri, exchange, compat. sqs: region, `account_id`, `access_key_id`,
    /// `secret_access_key`, `endpoint_url`, fifo, compat. pusher: `app_id`, key, secret, cluster, host, port, `use_tls`.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
}

/// Unless it is named.
fn default_label() -> String {
    "default".to_owned()
}

/// Unless it is said.
fn enabled() -> bool {
    true
}

/// An endpoint that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeEndpoint {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// The secret that was made up for it. It is shown only now.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

/// Makes an endpoint
#[utoipa::path(post, path = "/v1/instances/{instance}/endpoints", tag = "endpoints", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Its name or one of its ids")),
    responses((status = 201, description = "The endpoint", body = MadeEndpoint)))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(named): Path<String>,
    Json(asked): Json<EndpointRequest>,
) -> Result<(StatusCode, Json<MadeEndpoint>), Fault> {
    let instance = caller.instance(&api, &named).await?;
    let made_up = asked
        .sign
        .then(|| SigningSecret::generate(&mut rand::rng()));
    let shown = made_up
        .as_ref()
        .map(|secret| secret.text().expose_secret().to_owned());
    let changes = asked.changes(&api, &instance, made_up)?;
    let id = api.database.set_endpoint(&changes, &api.keyring).await?;
    let endpoint = find(&api, &caller, id).await?;
    let made = MadeEndpoint {
        endpoint: EndpointView::new(endpoint, &api.keyring),
        signing_secret: shown,
    };
    Ok((StatusCode::CREATED, Json(made)))
}

impl EndpointRequest {
    /// Checked, as it is to be written.
    fn changes<'a>(
        &'a self,
        api: &Api,
        instance: &'a Instance,
        made_up: Option<SigningSecret>,
    ) -> Result<EndpointChanges<'a>, Fault> {
        values::label(&self.label)?;
        values::events(&self.events)?;
        self.check_url(api)?;
        values::within("max_attempts", self.max_attempts, 1..=1000)?;
        values::within("timeout_ms", self.timeout_ms, 1000..=60_000)?;
        values::within("max_in_flight", self.max_in_flight, 1..=10_000)?;
        let signing = match (made_up, &self.signing_secret) {
            (Some(_), Some(_)) => {
                let message =
                    "signing_secret: leave it out with \"sign\": true, which makes one up";
                return Err(Fault::invalid("signing_secret", message));
            }
            (Some(secret), None) => Change::To(secret),
            (None, Some(text)) => Change::To(values::signing_secret(text)?),
            (None, None) => Change::Keep,
        };
        let given = self
            .settings
            .as_ref()
            .filter(|settings| !settings.is_null());
        let settings = given
            .map(|settings| settings::check(settings, self.channel, self.dialect, &api.guard))
            .transpose()?;
        if settings.is_none() && self.channel == ChannelName::Pusher {
            let message = "settings: a pusher endpoint needs app_id, key and secret";
            return Err(Fault::invalid("settings", message));
        }
        let authorization = self
            .authorization
            .clone()
            .map(values::authorization)
            .transpose()?;
        let headers = self.headers.clone().map(values::headers).transpose()?;
        Ok(EndpointChanges {
            instance: &instance.sql_name,
            url: self.url.as_deref().unwrap_or_default(),
            label: &self.label,
            channel: self.channel.as_str(),
            dialect: self.dialect.as_str(),
            rules: EndpointRules {
                existing: Existing::No,
                account: Some(instance.account_id),
                ..EndpointRules::default()
            },
            state: Some(if self.enabled { "enabled" } else { "disabled" }),
            settings: to(settings),
            events: Some(self.events.clone()),
            authorization: to(authorization),
            headers: to(headers),
            signing,
            by_events: self.by_events,
            media_base64: self.media_base64,
            schedule: self.schedule.as_deref(),
            max_attempts: self.max_attempts,
            timeout_ms: self.timeout_ms,
            max_in_flight: self.max_in_flight,
        })
    }

    /// Webhooks have a URL, the others none.
    fn check_url(&self, api: &Api) -> Result<(), Fault> {
        match (self.channel, &self.url) {
            (ChannelName::Webhook, Some(url)) => values::url(url, &api.guard),
            (ChannelName::Webhook, None) => {
                let message = "url: a webhook needs one, like https://example.com/webhook";
                Err(Fault {
                    kind: Kind::Unacceptable,
                    ..Fault::invalid("url", message)
                })
            }
            (_, Some(_)) => {
                let message = "url: only webhooks have one; other channels are told by settings";
                Err(Fault::invalid("url", message))
            }
            (_, None) => Ok(()),
        }
    }
}

/// What is given is set; what is not stays.
fn to<T>(value: Option<T>) -> Change<T> {
    value.map_or(Change::Keep, Change::To)
}
