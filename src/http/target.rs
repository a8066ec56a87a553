//! Where deliveries are to go, as callers write it.

use super::api::Api;
use super::fault::Fault;
use crate::model::{Guard, target};

/// Refuses a URL that deliveries cannot go to: none at all, another scheme, an address that `egress.allow` does not list.
pub fn check_target(api: &Api, field: &str, url: &str) -> Result<(), Fault> {
    let guard = Guard::new(api.config.egress.allow.clone());
    match target(url, &guard) {
        Ok(_) => Ok(()),
        Err(unfit) => Err(Fault::invalid(field, format!("{field}: {unfit}"))),
    }
}
