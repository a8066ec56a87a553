//! Instance tokens: made up from randomness.

use std::fmt::Write as _;

use rand::CryptoRng;
use secrecy::SecretString;

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
