//! `[api]`: tokens that stand in the configuration. All others are in the database.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::check::Check;
use super::fields;
use crate::crypto::token::CHOSEN_CHARACTERS_MIN;

/// The key that Evolution API publishes as its default: everybody knows it.
const PUBLISHED_KEY: &str = "BQYHJGJHJ";

/// Whether a token is too long to be tried out.
fn is_long(token: &SecretString) -> bool {
    token.expose_secret().chars().count() >= CHOSEN_CHARACTERS_MIN
}

/// Tokens that stand in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Reaches the whole account `default`.
    #[serde(deserialize_with = "fields::secret")]
    pub account_token: Option<SecretString>,
    /// The same, as Evolution API calls it.
    #[serde(deserialize_with = "fields::secret")]
    pub global_key: Option<SecretString>,
}

impl Api {
    /// Tokens that anybody could guess are refused.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.require(
            self.account_token.as_ref().is_none_or(is_long),
            "api.account_token",
            "shorter than 16 characters; make one with `openssl rand -hex 32`",
        );
        let published = |key: &SecretString| key.expose_secret() == PUBLISHED_KEY;
        check.require(
            !self.global_key.as_ref().is_some_and(published),
            "api.global_key",
            "AUTHENTICATION_API_KEY is the published default of Evolution API, which everybody knows; make another with `openssl rand -hex 32`",
        );
    }

    /// What is allowed and should not stay so, with its remedy: a short key may be one that clients of an Evolution API have
    /// had for years.
    pub fn warning(&self) -> Option<&'static str> {
        let is_short = self.global_key.as_ref().is_some_and(|key| !is_long(key));
        is_short.then_some(
            "api.global_key (AUTHENTICATION_API_KEY) is shorter than 16 characters and could be found by trying; make another with `openssl rand -hex 32` and give it to your clients",
        )
    }
}
