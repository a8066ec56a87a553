//! Tokens: made up from randomness, and recognised by their digests.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a token. One that was made up here cannot be found from it.
pub type TokenDigest = [u8; 32];

/// As hard to guess as a key.
const BYTES: usize = 32;

/// The fewest characters of a token that its owner chose: shorter ones could be tried out.
pub const CHOSEN_CHARACTERS_MIN: usize = 16;

/// Whether a token that its owner chose may be one: long enough, not one character over and over, and good in any header.
///
/// Only a digest is kept to recognise it by, so what is chosen must not be found by trying.
pub fn may_be_chosen(token: &str) -> bool {
    let characters: BTreeSet<u8> = token.bytes().collect();
    (CHOSEN_CHARACTERS_MIN..=255).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic())
        && characters.len() >= CHOSEN_CHARACTERS_MIN / 2
}

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
    use super::{digest, is_same, may_be_chosen};

    #[test]
    fn a_chosen_token_is_one_that_cannot_be_tried_out() {
        for good in ["token-of-the-shop", "4D7B7953-1727-41F9-8689-343069A9BB73"] {
            assert!(may_be_chosen(good), "{good}");
        }
        let long = "ab".repeat(200);
        for bad in [
            "",
            "1234",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "123123123123123123123",
            "sixteen and a space",
            &long,
        ] {
            assert!(!may_be_chosen(bad), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_of_the_whole_token() {
        // printf abc | sha256sum
        assert!(digest(&"abc".into()).starts_with(&[0xba, 0x78, 0x16, 0xbf]));
        assert!(is_same(&digest(&"abc".into()), &digest(&"abc".into())));
        assert!(!is_same(&digest(&"abc".into()), &digest(&"abcd".into())));
    }
}
