//! Tokens: made up from randomness, and recognised by their digests.

use std::fmt::Write as _;

use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a token. One that was made up here cannot be found from it.
pub type TokenDigest = [u8; 32];

/// As hard to guess as a key.
const BYTES: usize = 32;

/// A new token: 64 hexadecimal digits, good in any header and any URL.
pub fn generate(randomness: &mut impl CryptoRng) -> SecretString {
    let mut bytes = [0; BYTES];
    randomness.fill_bytes(&mut bytes);
    let mut text = String::with_capacity(2 * BYTES);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// The public half of client credentials.
pub fn client_id(randomness: &mut impl CryptoRng) -> String {
    let half = generate(randomness);
    format!("vzc_{}", &half.expose_secret()[..BYTES])
}

/// What a token is recognised by.
pub fn digest(token: &SecretString) -> TokenDigest {
    Sha256::digest(token.expose_secret().as_bytes()).into()
}

/// Whether two are the same, in a time that does not tell where they differ.
pub fn is_same(one: &TokenDigest, other: &TokenDigest) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::{digest, is_same};

    #[test]
    fn a_digest_is_of_the_whole_token() {
        // printf abc | sha256sum
        assert!(digest(&"abc".into()).starts_with(&[0xba, 0x78, 0x16, 0xbf]));
        assert!(is_same(&digest(&"abc".into()), &digest(&"abc".into())));
        assert!(!is_same(&digest(&"abc".into()), &digest(&"abcd".into())));
    }
}
