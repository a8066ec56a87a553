//! Who calls, and for which instance.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::fault::no_instance;
use crate::config::EvolutionCompat;
use crate::db::administration::Instance;
use crate::http::api::Api;
use crate::http::auth::Caller;
use crate::http::extract::Path;
use crate::http::fault::{Fault, Kind};

/// The instance in the path, for a caller who may act for it.
///
/// The key comes first: whoever has none learns nothing about names. A key of another instance is no key for this one, whether
/// or not there is this one; only a global key is told that there is none. The system itself looks for the name first, which
/// `evolution.compat` brings back.
#[derive(Debug)]
pub(super) struct Tenant {
    /// The instance.
    pub(super) instance: Instance,
}

impl FromRequestParts<Api> for Tenant {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Fault> {
        let Path(name) = Path::<String>::from_request_parts(parts, api).await?;
        if api.config.evolution.compat == EvolutionCompat::Version23
            && !api.database.has_instance(&name).await?
        {
            return Err(no_instance(&name));
        }
        let caller = Caller::from_request_parts(parts, api).await?;
        match caller.instance(api, &name).await {
            Ok(instance) => Ok(Self { instance }),
            Err(fault) if fault.kind != Kind::NotFound => Err(fault),
            Err(_) if caller.reach().is_account() => Err(no_instance(&name)),
            Err(_) => Err(Fault::unauthorized()),
        }
    }
}

/// A caller with a global key; the key of an instance is none for what belongs to no instance.
pub(super) fn global(caller: &Caller) -> Result<(), Fault> {
    if caller.reach().is_account() {
        return Ok(());
    }
    Err(Fault::unauthorized())
}
