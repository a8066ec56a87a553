//! Signing and sealing. Given its randomness, asks no clock.

pub mod jwt;
mod seal;
mod sign;
pub mod token;

pub use seal::{CannotOpen, Keyring, NotAKey, check_key, is_sealed};
pub use sign::{NotASigningSecret, SigningSecret, signature_header, verify};
