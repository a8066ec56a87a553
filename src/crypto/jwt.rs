//! JSON Web Tokens signed by HMAC-SHA256: the one kind that is needed, made and checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `{"alg":"HS256","typ":"JWT"}`, as every library writes it.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// A token with these claims, a JSON object.
pub fn sign(claims: &[u8], key: &[u8]) -> String {
    let signed = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = mac(signed.as_bytes(), key).finalize().into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The claims of a token that was signed with this key. Whether they hold (`exp`) is for the caller to say.
pub fn open(token: &str, key: &[u8]) -> Option<Vec<u8>> {
    let (signed, signature) = token.rsplit_once('.')?;
    // No other algorithm is read, least of all `none`.
    let claims = signed.strip_prefix(HEADER)?.strip_prefix('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    mac(signed.as_bytes(), key).verify_slice(&signature).ok()?;
    URL_SAFE_NO_PAD.decode(claims).ok()
}

/// A key may have any length.
fn mac(signed: &[u8], key: &[u8]) -> Hmac<Sha256> {
    let keyed = Hmac::<Sha256>::new_from_slice(key);
    keyed
        .expect("HMAC takes keys of every length")
        .chain_update(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of jwt.io.
    const TOKEN: &str = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.",
        "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    );
    const CLAIMS: &[u8] = br#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#;
    const KEY: &[u8] = b"your-256-bit-secret";

    #[test]
    fn a_token_is_the_one_that_others_make() {
        assert_eq!(sign(CLAIMS, KEY), TOKEN);
        assert_eq!(open(TOKEN, KEY).as_deref(), Some(CLAIMS));
    }

    #[test]
    fn a_token_of_another_key_algorithm_or_content_is_refused() {
        assert_eq!(open(TOKEN, b"another"), None);
        assert_eq!(open(&TOKEN.replace("SflK", "SflL"), KEY), None);
        assert_eq!(open(&TOKEN.replace("MDIyfQ", "MDIzfQ"), KEY), None);
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.";
        for bad in [none, "", ".", "..", &TOKEN[..TOKEN.len() - 44]] {
            assert_eq!(open(bad, KEY), None, "{bad}");
        }
    }
}
