//! `GET /events/ws`: the realtime subscriptions of `VZaps`, for its SDKs as they are.
//!
//! `?instance_id=VZ…&events=Message,Connected&access_token=…&client_token=…&instance_token=…&last_event_id=…`. The tokens may also
//! stand in the headers that its REST API has for them. Without `events`, those of the instance's webhook.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::caller::{Caller, TOKEN_BYTES_MAX, away, check_origin, query};
use super::refusal::Refusal;
use crate::db::administration::{EndpointFilter, Instance};
use crate::dialect::Dialect;
use crate::realtime::claims::Wanted;
use crate::realtime::filter::Filter;
use crate::realtime::flavor::Flavor;
use crate::realtime::opening::{Acknowledging, Opening};
use crate::realtime::protocol::TYPES_MAX;
use crate::realtime::session;
use crate::realtime::sidecar::{PATIENCE, Sidecar};
use crate::realtime::wire::handshake;

/// Opens a subscription.
pub(super) async fn open(State(sidecar): State<Arc<Sidecar>>, mut request: Request) -> Response {
    let asked = match handshake::asked(&mut request) {
        Ok(asked) => asked,
        Err(problem) => return Refusal::Malformed(problem.to_owned()).vzaps(),
    };
    let (parts, _) = request.into_parts();
    let response = handshake::accepted(&asked);
    // In a task of its own: it may take a subscription and must then give it back, also where the client does not wait.
    let (answer, answered) = oneshot::channel();
    let serving = Arc::clone(&sidecar);
    sidecar.tasks.spawn("socket", async move {
        let opened = Box::pin(opening(&serving, &parts)).await;
        // It holds the buffer that the request was read into.
        drop(parts);
        match opened {
            Ok(opening) => {
                drop(answer.send(Ok(())));
                session::serve(serving, asked.upgrade, opening).await;
            }
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
    });
    match answered.await {
        Ok(Ok(())) => response,
        Ok(Err(refusal)) => refusal.vzaps(),
        Err(_) => Refusal::Unavailable.vzaps(),
    }
}

/// The tokens that a request shows.
struct Shown {
    access: Option<SecretString>,
    client: Option<String>,
    instance: Option<SecretString>,
}

impl Shown {
    /// In headers, or else in the query: in a browser there are no headers.
    fn of(parts: &Parts) -> Self {
        let text = |name: &str| parts.headers.get(name)?.to_str().ok();
        let bearer = text(header::AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        let token = |in_header: Option<&str>, name: &str| {
            let in_header = in_header.map(|token| token.trim().to_owned());
            let shown = in_header.filter(|token| !token.is_empty());
            let shown = shown.or_else(|| query(parts, name));
            shown.filter(|token| token.len() <= TOKEN_BYTES_MAX && !token.contains('\0'))
        };
        Self {
            access: token(bearer, "access_token").map(SecretString::from),
            client: token(text("x-client-token"), "client_token"),
            instance: token(text("x-instance-token"), "instance_token").map(SecretString::from),
        }
    }

    /// The instance, if all that is shown is good for it: an access token, or a client and an instance token together.
    async fn admit(
        &self,
        sidecar: &Sidecar,
        named: &str,
    ) -> Result<(Arc<Instance>, Caller), Refusal> {
        let ((Some(token), ..) | (None, Some(_), Some(token))) =
            (&self.access, &self.client, &self.instance)
        else {
            return Err(Refusal::Unauthorized);
        };
        let caller = Caller::of_token(sidecar, token).await?;
        if let Some(client) = &self.client {
            let account = sidecar.database.account_of_client(client).await;
            if account.map_err(away)? != Some(caller.access.reach.account) {
                return Err(Refusal::Unauthorized);
            }
        }
        let instance = caller.instance(sidecar, named).await?;
        if let Some(own) = &self.instance {
            let reach = Caller::of_token(sidecar, own).await?.access.reach;
            let reaches = reach.account == instance.account_id
                && reach.instance.is_none_or(|only| only == instance.id);
            if !reaches {
                return Err(Refusal::Unauthorized);
            }
        }
        Ok((instance, caller))
    }
}

/// What is asked for, and whether it may be had.
async fn opening(sidecar: &Arc<Sidecar>, parts: &Parts) -> Result<Opening, Refusal> {
    check_origin(sidecar, &parts.headers)?;
    let shown = Shown::of(parts);
    let named = query(parts, "instance_id");
    let named = named.ok_or_else(|| Refusal::Malformed("instance_id is missing".to_owned()))?;
    let (instance, caller) = shown.admit(sidecar, &named).await?;
    let asked = Filter::of_list(Dialect::Vzaps, &query(parts, "events").unwrap_or_default());
    if asked.types().len() > TYPES_MAX {
        let problem = format!("events names at most {TYPES_MAX} types");
        return Err(Refusal::Malformed(problem));
    }
    let key = key(shown.client.as_deref(), &asked);
    let filter = if asked.types().is_empty() {
        own_events(sidecar, &instance).await?
    } else {
        asked
    };
    let peer = caller.peer(parts, "vzaps");
    let admission = sidecar
        .hub
        .admit_in_turn(Some(instance.id), &peer.token)
        .map_err(Refusal::NoRoom)?;
    if sidecar.hub.present().is_none() {
        drop(timeout(PATIENCE, sidecar.hub.fresh_step()).await);
    }
    let wanted = Wanted {
        instance: instance.id,
        key: &key,
        last_event_id: query(parts, "last_event_id"),
        present: sidecar.hub.present().ok_or(Refusal::Unavailable)?,
    };
    // What an earlier connection acknowledged through this process must be there to be read.
    sidecar.write_acknowledged().await;
    let taken = sidecar.claims.take(sidecar, &wanted).await;
    let taken = taken.map_err(away)?;
    Ok(Opening {
        instance: sidecar.profile(&instance),
        peer,
        flavor: Flavor::Vzaps,
        filter,
        place: taken.place,
        consumer: None,
        acknowledges: Some(Acknowledging {
            ledger: Box::new(taken.ledger),
            again: taken.unacknowledged,
        }),
        everything: None,
        admission,
    })
}

/// Who asks for what, as subscriptions are told apart: the digest of the client token and the events, in whatever order.
fn key(client: Option<&str>, asked: &Filter) -> String {
    let mut events: Vec<&str> = asked.types().iter().map(String::as_str).collect();
    events.sort_unstable();
    events.dedup();
    let digest = Sha256::new()
        .chain_update(client.unwrap_or_default())
        .chain_update("\n")
        .chain_update(events.join(","))
        .finalize();
    BASE64.encode(&digest[..16])
}

/// The events of the instance's own subscription: those of its webhook, or all where it has none.
async fn own_events(sidecar: &Sidecar, instance: &Instance) -> Result<Filter, Refusal> {
    let webhook = EndpointFilter {
        dialect: Some("vzaps"),
        channel: Some("webhook"),
        label: Some("default"),
        ..EndpointFilter::default()
    };
    let found = sidecar.database.endpoint_records(instance, webhook).await;
    let events = found.map_err(away)?.pop().map(|webhook| webhook.events);
    Ok(Filter::new(Dialect::Vzaps, events.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Filter, key};

    #[test]
    fn subscriptions_are_alike_where_the_same_client_asks_for_the_same_events() {
        let key = |client: &str, events: &str| {
            key(Some(client), &Filter::of_list(Dialect::Vzaps, events))
        };
        assert_eq!(
            key("a", "Message,Connected"),
            key("a", "Connected, Message")
        );
        assert_ne!(key("a", "Message"), key("b", "Message"));
        assert_ne!(key("a", "Message"), key("a", ""));
    }
}
