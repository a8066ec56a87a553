//! Who calls, and what they may reach.

mod cache;
mod carrier;

pub use cache::TokenCache;
pub use carrier::Carrier;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use secrecy::SecretString;

use super::api::Api;
use super::fault::{Fault, Kind};
use super::limit;
use super::manner::{Counted, Manner};
use crate::crypto::token::digest;
use crate::db::administration::Instance;
use crate::model::{Access, Reach};

/// Longer than any token; what is longer is not looked at.
const TOKEN_BYTES_MAX: usize = 4096;

/// A caller with a good token. Taking one in a handler is what makes a route ask for a token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Which token, and what it is good for.
    pub access: Access,
}

impl Caller {
    /// What the caller may reach: hand it to whatever looks something up.
    pub fn reach(&self) -> Reach {
        self.access.reach
    }

    /// The caller may act for the whole account; else 403.
    pub fn for_account(&self) -> Result<(), Fault> {
        if self.reach().is_account() {
            return Ok(());
        }
        let message = "this is the token of one instance; this route asks for an account token";
        Err(Fault::new(
            Kind::Forbidden,
            "account_token_required",
            message,
        ))
    }

    /// The caller may manage accounts; else 403.
    pub fn for_operator(&self) -> Result<(), Fault> {
        if self.reach().operator {
            return Ok(());
        }
        let message = "only tokens of the operators' account (`default`) may do this";
        Err(Fault::new(
            Kind::Forbidden,
            "operator_token_required",
            message,
        ))
    }

    /// The instance the caller means, by name, UUID or `VZ…` id; 404 where there is none within reach, whoever else has one.
    pub async fn instance(&self, api: &Api, named: &str) -> Result<Instance, Fault> {
        let found = api.database.find_instance(self.reach(), named).await?;
        found.ok_or_else(|| Fault::instance_not_found(named))
    }
}

/// What a token is good for: one that stands in the configuration, or one that the database knows (or knew a second ago).
pub async fn authenticate(api: &Api, token: &SecretString) -> Result<Access, Fault> {
    let digest = digest(token);
    if let Some(access) = api.configured.find(&digest) {
        return Ok(access);
    }
    if let Some(access) = api.tokens.get(&digest) {
        return Ok(access);
    }
    let generation = api.tokens.generation();
    let found = api.database.authenticate(&digest).await?;
    let access = found.ok_or_else(Fault::unauthorized)?;
    api.tokens.keep(digest, access.clone(), generation);
    Ok(access)
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Fault> {
        let manner = *parts
            .extensions
            .get::<&'static Manner>()
            .expect("every route with a caller is dressed in a manner");
        let token = manner
            .carriers
            .iter()
            .find_map(|carrier| carrier.token(parts));
        let token = token.filter(|token| token.len() <= TOKEN_BYTES_MAX);
        let token = token
            .map(SecretString::from)
            .ok_or_else(Fault::unauthorized)?;
        let access = authenticate(api, &token).await?;
        if let Some(limit) = (manner.limit)(&parts.method, &parts.uri) {
            let allowance = limit::count(api, &access, limit).await?;
            if let Some(counted) = parts.extensions.get::<Counted>() {
                // Once for a request; a second caller of the same one changes nothing.
                let _ = counted.0.set(allowance);
            }
            if !allowance.within {
                return Err(limit::exceeded());
            }
        }
        Ok(Self { access })
    }
}
