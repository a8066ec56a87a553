//! Events as webhooks to a URL of this machine: the worker's own channel, with an endpoint that is in no database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use ipnet::IpNet;
use serde_json::json;
use tokio::time::Instant;

use super::{Printer, heading};
use crate::channels::egress::{Egress, GuardedClient};
use crate::channels::{Channel as _, Outcome, WallClock, Webhook};
use crate::client::{Event, HandlerError};
use crate::config::Config;
use crate::crypto::SigningSecret;
use crate::dialect::{Dialect, Identity};
use crate::model::{
    Channel, Destination, Endpoint, EndpointState, Guard, Parcel, Schedule, target,
};

/// The whole attempt.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Private networks. A server's guard keeps its tenants from reaching what only the server reaches. Here whoever names the URL
/// sits at the machine that calls it, and a receiver on that machine or beside it is what the command is for. The rest of the
/// guard stays: no redirects, so that a receiver cannot send events elsewhere, and nothing link-local, where clouds keep
/// credentials.
const PRIVATE: [&str; 6] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
];

/// Where events are sent.
#[derive(Debug)]
pub(super) struct Forward {
    channel: Webhook,
    endpoint: Arc<Endpoint>,
    /// How often each was tried that has not been taken yet.
    tries: Mutex<HashMap<String, u32>>,
}

impl Forward {
    /// To this URL, signed with this secret.
    pub(super) fn new(
        config: &Config,
        url: &str,
        secret: SigningSecret,
        clock: Arc<WallClock>,
    ) -> anyhow::Result<Self> {
        let private = PRIVATE.iter().map(|network| network.parse::<IpNet>());
        let mut allow = private.collect::<Result<Vec<_>, _>>()?;
        allow.extend(&config.egress.allow);
        let checked = target(url, &Guard::new(allow.clone())).context("--forward-to")?;
        let egress = Egress {
            allow,
            ca_file: config.egress.ca_file.clone(),
            connect_timeout: config.worker.connect_timeout,
        };
        let public_url = config.http.public_url.clone().unwrap_or_default();
        let endpoint = Endpoint {
            id: 0,
            version: 0,
            instance: String::new(),
            identity: Identity::default(),
            label: "listen".to_owned(),
            channel: Channel::Webhook,
            dialect: Dialect::Postrider,
            url: checked,
            url_text: url.to_owned(),
            by_events: false,
            fetches_media: false,
            authorization: None,
            headers: Vec::new(),
            signing: vec![secret],
            timeout: TIMEOUT,
            in_flight_max: 1,
            schedule: Arc::new(Schedule {
                name: "listen".to_owned(),
                waits: vec![Duration::from_secs(1)],
                jitter: 0.0,
                jitter_both_ways: false,
                final_statuses: Vec::new(),
            }),
            state: EndpointState::Enabled,
            instance_token: None,
            sealed_shut: None,
        };
        Ok(Self {
            channel: Webhook::new(GuardedClient::new(&egress)?, clock, public_url),
            endpoint: Arc::new(endpoint),
            tries: Mutex::default(),
        })
    }

    /// Sends an event, and says what came of it. An error where it has to be sent again.
    pub(super) async fn send(&self, event: &Event, printer: &Printer) -> Result<(), HandlerError> {
        let parcel = Parcel {
            event_id: event.id.clone(),
            event_type: event.event_type.clone(),
            instance: event.instance.clone(),
            sender: None,
            occurred_at: event.timestamp,
            attempt: self.attempt(&event.id),
            payload: Bytes::copy_from_slice(event.data.get().as_bytes()),
            to: Destination::Endpoint(Arc::clone(&self.endpoint)),
            deadline: Instant::now() + TIMEOUT,
        };
        let outcome = self.channel.deliver(&parcel).await;
        let (status, detail) = match &outcome {
            Outcome::Delivered(receipt) => (receipt.status, None),
            Outcome::Failed(failure) => (failure.status, Some(&*failure.detail)),
        };
        let line = if printer.json {
            json!({
                "id": event.id,
                "type": event.event_type,
                "attempt": parcel.attempt,
                "delivered": detail.is_none(),
                "status": status,
                "detail": detail,
            })
            .to_string()
        } else {
            match (status, detail) {
                (_, Some(detail)) => format!("{}  {detail}", heading(event)),
                (Some(status), None) => format!("{}  {status}", heading(event)),
                (None, None) => heading(event),
            }
        };
        printer.line(&line)?;
        match detail {
            None => {
                self.tries().remove(&event.id);
                Ok(())
            }
            Some(detail) => Err(detail.into()),
        }
    }

    /// Which attempt at an event this is.
    fn attempt(&self, id: &str) -> u32 {
        let mut tries = self.tries();
        let count = tries.entry(id.to_owned()).or_default();
        *count += 1;
        *count
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
