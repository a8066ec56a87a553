//! Signing and sealing. Given its randomness, asks no clock.

use secrecy::SecretString;

/// A Standard Webhooks secret, `whsec_` + base64 of 24 to 64 bytes.
#[derive(Debug, Clone)]
pub struct SigningSecret(pub(crate) SecretString);
