//! `[encryption]`: the keys for secrets at rest. Their form is `crypto`'s business.

use secrecy::SecretString;
use serde::Deserialize;

use super::fields;

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
