//! Who asks, and what they may hear.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use secrecy::SecretString;
use url::form_urlencoded;

use super::refusal::Refusal;
use crate::causes::Causes;
use crate::crypto::token::{TokenDigest, digest};
use crate::db::Error;
use crate::db::administration::Instance;
use crate::model::Access;
use crate::realtime::connection::Peer;
use crate::realtime::sidecar::Sidecar;

/// Longer than any token; what is longer is not looked at.
pub(super) const TOKEN_BYTES_MAX: usize = 4096;

/// The value of a query parameter; an empty one counts as absent.
pub(super) fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?.as_bytes();
    let mut pairs = form_urlencoded::parse(query);
    let (_, value) = pairs.find(|(key, value)| key == name && !value.is_empty())?;
    Some(value.into_owned())
}

/// The token, wherever it stands: a bearer, one of these headers, or `?token=`.
pub(super) fn token(parts: &Parts, names: &[&str]) -> Option<SecretString> {
    let text = |name: &str| parts.headers.get(name)?.to_str().ok();
    let bearer = text(header::AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let in_header = names.iter().find_map(|name| text(name));
    let shown = in_header.or(bearer).map(|token| token.trim().to_owned());
    let shown = shown.or_else(|| query(parts, "token"));
    let token = shown.filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX);
    token.map(SecretString::from)
}

/// Whether a web page of this origin may connect. Programs send none.
pub(super) fn check_origin(sidecar: &Sidecar, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let allowed = sidecar
        .origins
        .iter()
        .any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes());
    if allowed {
        Ok(())
    } else {
        Err(Refusal::Origin)
    }
}

/// Who asks: a caller with a good token, from a page that may.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// What the token is good for.
    pub(super) access: Access,
    /// What it is recognised by; none for one that stands in the configuration.
    digest: Option<TokenDigest>,
}

/// The instance that is named, if the token reaches it; and who asks.
pub(super) async fn admitted(
    sidecar: &Sidecar,
    parts: &Parts,
    (named, door): (&str, &'static str),
    headers: &[&str],
) -> Result<(Arc<Instance>, Peer), Refusal> {
    let caller = Caller::find(sidecar, parts, headers).await?;
    let instance = caller.instance(sidecar, named).await?;
    Ok((instance, caller.peer(parts, door)))
}

impl Caller {
    /// By the token, which stands in a bearer, one of these headers, or `?token=`.
    pub(super) async fn find(
        sidecar: &Sidecar,
        parts: &Parts,
        headers: &[&str],
    ) -> Result<Self, Refusal> {
        check_origin(sidecar, &parts.headers)?;
        let token = token(parts, headers).ok_or(Refusal::Unauthorized)?;
        Self::of_token(sidecar, &token).await
    }

    /// By the token itself.
    pub(super) async fn of_token(sidecar: &Sidecar, token: &SecretString) -> Result<Self, Refusal> {
        let digest = digest(token);
        if let Some(access) = sidecar.configured.find(&digest) {
            let digest = None;
            return Ok(Self { access, digest });
        }
        Self::of_digest(sidecar, digest).await
    }

    /// The same, if its token is still good: on one connection a client may ask for something long after it came.
    pub(super) async fn again(&self, sidecar: &Sidecar) -> Result<Self, Refusal> {
        match self.digest {
            Some(digest) => Self::of_digest(sidecar, digest).await,
            None => Ok(self.clone()),
        }
    }

    async fn of_digest(sidecar: &Sidecar, digest: TokenDigest) -> Result<Self, Refusal> {
        let ask = async {
            let found = sidecar.database.authenticate(&digest).await;
            found.map_err(away)?.ok_or(Refusal::Unauthorized)
        };
        Ok(Self {
            access: sidecar.tokens.get(digest, ask).await?,
            digest: Some(digest),
        })
    }

    /// The instance that is named, if the token reaches it.
    pub(super) async fn instance(
        &self,
        sidecar: &Sidecar,
        named: &str,
    ) -> Result<Arc<Instance>, Refusal> {
        let reach = self.access.reach;
        let ask = async {
            let found = sidecar.database.find_instance(reach, named).await;
            let found = found.map_err(away)?.ok_or(Refusal::NoInstance)?;
            Ok(Arc::new(found))
        };
        let key = (reach, named.to_owned());
        sidecar.instances.get(key, ask).await
    }

    /// The instance whose own token it is; none where it is an account's.
    pub(super) async fn own(&self, sidecar: &Sidecar) -> Result<Option<Arc<Instance>>, Refusal> {
        let reach = self.access.reach;
        if reach.is_account() {
            return Ok(None);
        }
        let ask = async {
            let found = sidecar.database.instances_within(reach, 0, 1).await;
            let own = found.map_err(away)?.pop().ok_or(Refusal::NoInstance)?;
            Ok(Arc::new(own))
        };
        // No instance is called so.
        let key = (reach, String::new());
        sidecar.instances.get(key, ask).await.map(Some)
    }

    /// For the operator, and to find out whether the token is still good.
    pub(super) fn peer(self, parts: &Parts, door: &'static str) -> Peer {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let token = match self.digest {
            Some(_) => self.access.token,
            None => "configured".to_owned(),
        };
        Peer {
            door,
            address: address.map(|ConnectInfo(address)| *address),
            token,
            reach: self.access.reach,
            digest: self.digest,
        }
    }
}

/// The database does not answer.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
pub(super) fn away(error: Error) -> Refusal {
    tracing::warn!(error = %Causes(&error), "a connection is refused: it cannot be looked up");
    Refusal::Unavailable
}
