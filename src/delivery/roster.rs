//! The endpoints this worker knows, never older than the version a claim has seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::crypto::Keyring;
use crate::db::{Database, Error};
use crate::model::{Delivery, Destination, Endpoint, Schedule};

/// After so long an endpoint is read again though its version is the same: signing secrets expire by time alone.
const REFRESH: Duration = Duration::from_mins(1);
/// So many are remembered; beyond it, those not used for a refresh are dropped.
const REMEMBERED_MAX: usize = 50_000;

/// Where a delivery goes, as far as the roster can tell.
pub(super) enum Whereabouts {
    /// There, by this schedule, within this time, with at most so many in flight.
    Known(Destination, Arc<Schedule>, Duration, u32),
    /// To an endpoint that is not to be sent to now.
    Held(Arc<Endpoint>),
    /// To an endpoint that is no more.
    Gone,
    /// Nowhere, because its own credentials cannot be used.
    Unusable(String),
}

/// The endpoints this worker knows.
#[derive(Debug)]
pub(super) struct Roster {
    keyring: Arc<Keyring>,
    in_flight_max: u32,
    known: HashMap<i64, (Arc<Endpoint>, Instant)>,
    direct: Option<(Arc<Schedule>, Duration, Instant)>,
}

impl Roster {
    /// Knowing nobody.
    pub(super) fn new(keyring: Arc<Keyring>, in_flight_max: u32) -> Self {
        Self {
            keyring,
            in_flight_max,
            known: HashMap::new(),
            direct: None,
        }
    }

    /// Reads whatever these deliveries need and is not known well enough.
    pub(super) async fn prepare(
        &mut self,
        database: &Database,
        deliveries: &[Delivery],
    ) -> Result<(), Error> {
        let now = Instant::now();
        let mut wanted: Vec<i64> = deliveries
            .iter()
            .filter_map(|delivery| {
                let id = delivery.endpoint_id?;
                let seen = delivery.endpoint_version?;
                let fresh = self
                    .known
                    .get(&id)
                    .is_some_and(|(endpoint, at)| endpoint.version >= seen && now - *at < REFRESH);
                (!fresh).then_some(id)
            })
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        if !wanted.is_empty() {
            if self.known.len() + wanted.len() > REMEMBERED_MAX {
                self.known.retain(|_, (_, at)| now - *at < REFRESH);
            }
            for endpoint in database
                .endpoints(&wanted, &self.keyring, self.in_flight_max)
                .await?
            {
                self.known.insert(endpoint.id, (Arc::new(endpoint), now));
            }
        }
        let direct_is_fresh = self
            .direct
            .as_ref()
            .is_some_and(|(_, _, at)| now - *at < Duration::from_secs(5));
        if !direct_is_fresh
            && deliveries
                .iter()
                .any(|delivery| delivery.endpoint_id.is_none())
        {
            let (schedule, timeout) = database.default_schedule().await?;
            self.direct = Some((schedule, timeout, now));
        }
        Ok(())
    }

    /// Where a prepared delivery goes.
    pub(super) fn find(&self, delivery: &Delivery) -> Whereabouts {
        let Some(id) = delivery.endpoint_id else {
            return self.direct(delivery);
        };
        if delivery.endpoint_version.is_none() {
            return Whereabouts::Gone;
        }
        let Some((endpoint, _)) = self.known.get(&id) else {
            return Whereabouts::Gone;
        };
        if endpoint.state != crate::model::EndpointState::Enabled {
            return Whereabouts::Held(endpoint.clone());
        }
        Whereabouts::Known(
            Destination::Endpoint(endpoint.clone()),
            endpoint.schedule.clone(),
            endpoint.timeout,
            endpoint.in_flight_max,
        )
    }

    /// A row without an endpoint: its own URL and credentials.
    fn direct(&self, delivery: &Delivery) -> Whereabouts {
        let Some((schedule, timeout, _)) = &self.direct else {
            return Whereabouts::Gone;
        };
        let authorization = match delivery
            .auth_header
            .as_deref()
            .map(|stored| self.keyring.open(stored))
        {
            None => None,
            Some(Err(error)) => return Whereabouts::Unusable(format!("auth_header: {error}")),
            Some(Ok(text)) => match http::HeaderValue::from_str(text.expose_secret()) {
                Err(_) => {
                    return Whereabouts::Unusable(
                        "auth_header has characters that no header may have".to_owned(),
                    );
                }
                Ok(mut value) => {
                    value.set_sensitive(true);
                    Some(value)
                }
            },
        };
        let to = Destination::Direct {
            url: delivery.url.clone(),
            authorization,
        };
        Whereabouts::Known(to, schedule.clone(), *timeout, self.in_flight_max)
    }
}
