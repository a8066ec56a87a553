//! Standard Webhooks signatures: `v1,` + base64 of HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// What a signing secret's text begins with.
const PREFIX: &str = "whsec_";
/// What one signature begins with: the version of the scheme.
const VERSION: &str = "v1,";
/// Below it, a secret is too easily guessed (the standard's lower bound).
const SECRET_BYTES_MIN: usize = 24;
/// Above it, a secret adds nothing (the standard's upper bound).
const SECRET_BYTES_MAX: usize = 64;
/// What `generate` makes: as long as the digest.
const SECRET_BYTES_NEW: usize = 32;
/// Base64 of a SHA-256 digest.
const SIGNATURE_BASE64_BYTES: usize = 44;

/// A Standard Webhooks secret, `whsec_` + base64 of 24 to 64 bytes.
///
/// It holds the MAC keyed already: keying costs two of the twelve or so compressions of a small body, and a worker signs
/// 20,000 times a second.
#[derive(Clone)]
pub struct SigningSecret {
    text: SecretString,
    keyed: Hmac<Sha256>,
}

/// Why a text is not a signing secret. Shows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASigningSecret {
    /// Nothing, or white space.
    #[error("the signing secret is empty; it is `whsec_` followed by base64 of 24 to 64 bytes")]
    Empty,
    /// Something else in front.
    #[error("the signing secret does not begin with `whsec_`")]
    Prefix,
    /// Not base64 behind the prefix.
    #[error("the signing secret is not standard base64 after `whsec_`")]
    Base64,
    /// Decoded, it is too short or too long.
    #[error("the signing secret is {bytes} bytes long once decoded; 24 to 64 are needed")]
    Length {
        /// How long it is.
        bytes: usize,
    },
}

impl SigningSecret {
    /// Reads `whsec_…`. White space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, NotASigningSecret> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NotASigningSecret::Empty);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(NotASigningSecret::Prefix)?;
        let key = STANDARD
            .decode(encoded)
            .map_err(|_| NotASigningSecret::Base64)?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&key.len()) {
            return Err(NotASigningSecret::Length { bytes: key.len() });
        }
        Ok(Self {
            text: text.into(),
            keyed: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length"),
        })
    }

    /// Makes a new one.
    pub fn generate(randomness: &mut impl CryptoRng) -> Self {
        let mut key = [0; SECRET_BYTES_NEW];
        randomness.fill_bytes(&mut key);
        Self::parse(&format!("{PREFIX}{}", STANDARD.encode(key)))
            .expect("32 bytes in base64 are a signing secret")
    }

    /// The text, for storing it and for showing it once to its owner.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// The MAC over `id.timestamp.body`, fed in parts so that the body is not copied.
    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningSecret([REDACTED])")
    }
}

impl PartialEq for SigningSecret {
    fn eq(&self, other: &Self) -> bool {
        self.text.expose_secret() == other.text.expose_secret()
    }
}

/// The value of `webhook-signature`: one signature for each secret, in their order (newest first), between spaces.
///
/// `timestamp` is what `webhook-timestamp` says, in whole seconds. Without secrets the value is empty.
pub fn signature_header(
    secrets: &[SigningSecret],
    id: &str,
    timestamp: &str,
    body: &[u8],
) -> HeaderValue {
    let mut value =
        String::with_capacity(secrets.len() * (VERSION.len() + SIGNATURE_BASE64_BYTES + 1));
    for secret in secrets {
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(VERSION);
        STANDARD.encode_string(
            secret.mac(id, timestamp, body).finalize().into_bytes(),
            &mut value,
        );
    }
    HeaderValue::try_from(value).expect("base64, commas and spaces are legal in a header")
}

/// Whether `signatures` (the value of `webhook-signature`) holds a signature by one of `secrets`.
///
/// Each comparison takes the same time wherever the first difference lies. How old `timestamp` may be is the caller's question.
pub fn verify(
    secrets: &[SigningSecret],
    id: &str,
    timestamp: &str,
    body: &[u8],
    signatures: &str,
) -> bool {
    secrets.iter().any(|secret| {
        let expected = secret.mac(id, timestamp, body);
        signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix(VERSION))
            .filter_map(|encoded| STANDARD.decode(encoded).ok())
            .any(|given| expected.clone().verify_slice(&given).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const ID: &str = "evt_2KWPBgLlAfxdpx2AI54pPJ85f4W";

    fn secret(seed: u64) -> SigningSecret {
        SigningSecret::generate(&mut StdRng::seed_from_u64(seed))
    }

    /// The second implementation, made from the same text.
    fn peer(secret: &SigningSecret) -> standardwebhooks::Webhook {
        standardwebhooks::Webhook::new(secret.text().expose_secret()).unwrap()
    }

    #[test]
    fn a_signature_is_the_one_the_standards_own_crate_makes() {
        for (seed, body) in [(1, ""), (2, "{}"), (3, r#"{"text":"olá"}"#)] {
            let secret = secret(seed);
            let ours = signature_header(
                std::slice::from_ref(&secret),
                ID,
                "1674087231",
                body.as_bytes(),
            );
            let theirs = peer(&secret).sign(ID, 1_674_087_231, body.as_bytes());
            assert_eq!(ours.to_str().unwrap(), theirs.unwrap());
        }
    }

    #[test]
    fn during_a_rotation_the_newest_secret_signs_first_and_either_verifies() {
        let secrets = [secret(1), secret(2)];
        let header = signature_header(&secrets, ID, "1", b"x");
        let header = header.to_str().unwrap();
        let theirs: Vec<String> = secrets
            .iter()
            .map(|secret| peer(secret).sign(ID, 1, b"x").unwrap())
            .collect();
        assert_eq!(header, theirs.join(" "));
        for known in &secrets {
            assert!(verify(std::slice::from_ref(known), ID, "1", b"x", header));
        }
    }

    #[test]
    fn a_changed_part_a_foreign_secret_and_a_cut_signature_are_refused() {
        let ours = [secret(1)];
        let header = signature_header(&ours, ID, "1", b"x");
        let header = header.to_str().unwrap();
        assert!(verify(
            &ours,
            ID,
            "1",
            b"x",
            &format!("v1a,AAAA v1,?? {header}")
        ));
        assert!(!verify(&[secret(2)], ID, "1", b"x", header));
        assert!(!verify(&ours, "evt_other", "1", b"x", header));
        assert!(!verify(&ours, ID, "2", b"x", header));
        assert!(!verify(&ours, ID, "1", b"y", header));
        let cut = STANDARD.encode(&STANDARD.decode(&header[3..]).unwrap()[..31]);
        for refused in ["", "v1,", &header[3..], &format!("v1,{cut}")] {
            assert!(!verify(&ours, ID, "1", b"x", refused), "{refused}");
        }
        assert!(!verify(&[], ID, "1", b"x", header));
    }

    #[test]
    fn a_secret_must_be_whsec_and_base64_of_24_to_64_bytes() {
        let of_bytes = |count| format!("whsec_{}", STANDARD.encode(vec![7_u8; count]));
        let check = |text: &str, expected: Result<(), NotASigningSecret>| {
            assert_eq!(SigningSecret::parse(text).map(|_| ()), expected, "{text}");
        };
        check(&of_bytes(24), Ok(()));
        check(&of_bytes(64), Ok(()));
        check(&format!(" {}\n", of_bytes(32)), Ok(()));
        check("  ", Err(NotASigningSecret::Empty));
        check("secret", Err(NotASigningSecret::Prefix));
        check("whsec_not base64", Err(NotASigningSecret::Base64));
        check("whsec_", Err(NotASigningSecret::Length { bytes: 0 }));
        check(&of_bytes(23), Err(NotASigningSecret::Length { bytes: 23 }));
        check(&of_bytes(65), Err(NotASigningSecret::Length { bytes: 65 }));
    }

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = secret(1);
        assert_eq!(format!("{secret:?}"), "SigningSecret([REDACTED])");
    }
}
