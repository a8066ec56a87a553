//! `[encryption]`: the keys for secrets at rest. What a key looks like is `crypto`'s business.

use secrecy::SecretString;
use serde::Deserialize;

use super::check::Check;
use super::fields;
use crate::crypto::check_key;

/// Secrets at rest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// Seals and opens; none: secrets rest as plain text.
    #[serde(deserialize_with = "fields::secret")]
    pub key: Option<SecretString>,
    /// Only open.
    pub old_keys: Vec<SecretString>,
}

impl Encryption {
    /// Whether the keys are keys. Nothing of them is shown.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        if let Some(Err(problem)) = self.key.as_ref().map(check_key) {
            check.require(false, "encryption.key", &problem.to_string());
        }
        for (at, key) in self.old_keys.iter().enumerate() {
            if let Err(problem) = check_key(key) {
                let problem = format!("number {} of the list: {problem}", at + 1);
                check.require(false, "encryption.old_keys", &problem);
            }
        }
    }
}
