//! Secrets at rest: AES-256-GCM, with the key's name in the text so that keys can be rotated.
//!
//! `sealed:v1:<key id>:<base64 of nonce and ciphertext>`. Anything that does not begin with `sealed:` is plain: a secret given in
//! SQL rests so until a running role seals it. The part before the base64 is authenticated with the ciphertext.

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What every sealed text begins with, whatever its version.
const MARK: &str = "sealed:";
/// What a text sealed by this code begins with.
const MARK_V1: &str = "sealed:v1:";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Takes padded and unpadded base64 alike: `openssl rand -base64 32` pads, others do not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const LENIENT_STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const LENIENT_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// The key that seals, and the older ones that still open.
#[derive(Clone, Default)]
pub struct Keyring {
    current: Option<Key>,
    old: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    cipher: Aes256Gcm,
}

/// A key that cannot be used. Shows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an encryption key is 32 bytes in base64 or hex, and this is something else; make one with `openssl rand -base64 32`"
)]
pub struct NotAKey;

/// Why a stored secret stays shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotOpen {
    /// Its key is not configured.
    #[error(
        "it is sealed with key {key_id}, which is not configured: set ENCRYPTION_KEY, or list the key among the old ones"
    )]
    NoKey {
        /// As the text names it.
        key_id: String,
    },
    /// The key is right and the text is not: it was changed, or cut.
    #[error("it is sealed with key {key_id}, but was changed or cut since then")]
    Altered {
        /// As the text names it.
        key_id: String,
    },
    /// `sealed:`, and then something this version does not know.
    #[error("it begins with `sealed:` but is not in a form this version knows")]
    UnknownForm,
}

/// Whether `stored` is sealed, whatever the key and the version.
pub fn is_sealed(stored: &str) -> bool {
    stored.starts_with(MARK)
}

impl Keyring {
    /// From the configured keys: `current` seals and opens, `old` ones open only. None at all is allowed.
    pub fn new(current: Option<&SecretString>, old: &[SecretString]) -> Result<Self, NotAKey> {
        Ok(Self {
            current: current.map(Key::parse).transpose()?,
            old: old.iter().map(Key::parse).collect::<Result<_, _>>()?,
        })
    }

    /// Whether there is a key to seal with.
    pub fn can_seal(&self) -> bool {
        self.current.is_some()
    }

    /// How texts sealed with the current key name it; none without one.
    pub fn current_key_id(&self) -> Option<&str> {
        self.current.as_ref().map(|key| key.id.as_str())
    }

    /// Seals `plain`; without a key it stays as it is, for sealing is the operator's choice.
    pub fn seal(&self, plain: &SecretString, randomness: &mut impl CryptoRng) -> String {
        let plain = plain.expose_secret();
        match &self.current {
            Some(key) => key.seal(plain, randomness),
            None => plain.to_owned(),
        }
    }

    /// Opens what is stored. What is not sealed opens as itself.
    pub fn open(&self, stored: &str) -> Result<SecretString, CannotOpen> {
        if !is_sealed(stored) {
            return Ok(stored.into());
        }
        let (key_id, encoded) = parts(stored).ok_or(CannotOpen::UnknownForm)?;
        let key = self.key(key_id).ok_or_else(|| CannotOpen::NoKey {
            key_id: key_id.to_owned(),
        })?;
        key.open(encoded).ok_or_else(|| CannotOpen::Altered {
            key_id: key_id.to_owned(),
        })
    }

    /// Whether `stored` should be sealed (again): it is plain, or an old key sealed it. Never without a key to seal with, and
    /// never where it could not be opened.
    pub fn needs_sealing(&self, stored: &str) -> bool {
        let Some(current) = &self.current else {
            return false;
        };
        if !is_sealed(stored) {
            return true;
        }
        parts(stored).is_some_and(|(key_id, _)| key_id != current.id && self.key(key_id).is_some())
    }

    /// `stored` under the current key; none where it needs no sealing.
    pub fn reseal(
        &self,
        stored: &str,
        randomness: &mut impl CryptoRng,
    ) -> Result<Option<String>, CannotOpen> {
        if !self.needs_sealing(stored) {
            return Ok(None);
        }
        Ok(Some(self.seal(&self.open(stored)?, randomness)))
    }

    fn key(&self, id: &str) -> Option<&Key> {
        self.current
            .iter()
            .chain(&self.old)
            .find(|key| key.id == id)
    }
}

/// Whether a text can be a key; says nothing of which.
pub fn check_key(text: &SecretString) -> Result<(), NotAKey> {
    Key::parse(text).map(|_| ())
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keyring([REDACTED])")
    }
}

/// The key id and the base64 of a sealed text.
fn parts(stored: &str) -> Option<(&str, &str)> {
    stored.strip_prefix(MARK_V1)?.split_once(':')
}

impl Key {
    fn parse(text: &SecretString) -> Result<Self, NotAKey> {
        let bytes = key_bytes(text.expose_secret().trim()).ok_or(NotAKey)?;
        let mut digest = Sha256::new_with_prefix(b"postrider key id");
        digest.update(bytes);
        // 32 bits tell a handful of keys apart and help nobody to guess one.
        let [first, second, third, fourth, ..]: [u8; 32] = digest.finalize().into();
        let id = u32::from_be_bytes([first, second, third, fourth]);
        Ok(Self {
            id: format!("{id:08x}"),
            cipher: Aes256Gcm::new(&bytes.into()),
        })
    }

    fn seal(&self, plain: &str, randomness: &mut impl CryptoRng) -> String {
        let mut nonce = [0; NONCE_BYTES];
        randomness.fill_bytes(&mut nonce);
        let head = self.head();
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: head.as_bytes(),
        };
        let ciphertext = self
            .cipher
            .encrypt(&nonce.into(), payload)
            .expect("a secret is far below AES-GCM's limit of 64 GiB");
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&ciphertext);
        head + &STANDARD.encode(sealed)
    }

    fn open(&self, encoded: &str) -> Option<SecretString> {
        let sealed = STANDARD.decode(encoded).ok()?;
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let head = self.head();
        let payload = Payload {
            msg: ciphertext,
            aad: head.as_bytes(),
        };
        let plain = self.cipher.decrypt(&(*nonce).into(), payload).ok()?;
        Some(String::from_utf8(plain).ok()?.into())
    }

    fn head(&self) -> String {
        format!("{MARK_V1}{}:", self.id)
    }
}

/// The 32 bytes of a key in hex or base64 (either alphabet). 64 hex digits would also be base64, but of 48 bytes.
fn key_bytes(text: &str) -> Option<[u8; KEY_BYTES]> {
    if text.len() == 2 * KEY_BYTES {
        return from_hex(text);
    }
    let bytes = LENIENT_STANDARD
        .decode(text)
        .or_else(|_| LENIENT_URL_SAFE.decode(text))
        .ok()?;
    bytes.try_into().ok()
}

fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` alone would take a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn randomness() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn key(byte: u8) -> SecretString {
        STANDARD.encode([byte; KEY_BYTES]).into()
    }

    fn keyring(current: u8, old: &[u8]) -> Keyring {
        let old: Vec<SecretString> = old.iter().map(|byte| key(*byte)).collect();
        Keyring::new(Some(&key(current)), &old).unwrap()
    }

    fn opened(keyring: &Keyring, stored: &str) -> String {
        keyring.open(stored).unwrap().expose_secret().to_owned()
    }

    #[test]
    fn what_was_sealed_opens_and_names_its_key_but_not_its_secret() {
        let keyring = keyring(1, &[]);
        let sealed = keyring.seal(&"Bearer olá".into(), &mut randomness());
        assert!(
            is_sealed(&sealed) && sealed.starts_with("sealed:v1:"),
            "{sealed}"
        );
        assert!(!sealed.contains("Bearer"));
        assert_eq!(opened(&keyring, &sealed), "Bearer olá");
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let keyring = keyring(1, &[]);
        let mut randomness = randomness();
        let first = keyring.seal(&"x".into(), &mut randomness);
        assert_ne!(first, keyring.seal(&"x".into(), &mut randomness));
    }

    #[test]
    fn an_old_key_opens_and_asks_for_sealing_again() {
        let sealed = keyring(1, &[]).seal(&"x".into(), &mut randomness());
        let rotated = keyring(2, &[1]);
        assert_eq!(opened(&rotated, &sealed), "x");
        assert!(rotated.needs_sealing(&sealed));
        let again = rotated.reseal(&sealed, &mut randomness()).unwrap().unwrap();
        assert!(!rotated.needs_sealing(&again));
        assert_eq!(opened(&keyring(2, &[]), &again), "x");
        assert_eq!(rotated.reseal(&again, &mut randomness()), Ok(None));
    }

    #[test]
    fn a_secret_given_in_sql_is_plain_and_opens_as_itself_until_it_is_sealed() {
        let keyring = keyring(1, &[]);
        assert_eq!(opened(&keyring, "Bearer abc"), "Bearer abc");
        assert!(keyring.needs_sealing("Bearer abc"));
    }

    #[test]
    fn without_a_key_plain_stays_readable_and_sealed_stays_shut_naming_its_key() {
        let sealed = keyring(1, &[]).seal(&"x".into(), &mut randomness());
        let none = Keyring::default();
        assert!(!none.can_seal() && !none.needs_sealing("x") && !none.needs_sealing(&sealed));
        assert_eq!(none.seal(&"x".into(), &mut randomness()), "x");
        assert_eq!(opened(&none, "x"), "x");
        let key_id = sealed.split(':').nth(2).unwrap().to_owned();
        let error = none.open(&sealed).unwrap_err();
        assert!(error.to_string().contains(&key_id), "{error}");
        assert_eq!(error, CannotOpen::NoKey { key_id });
    }

    #[test]
    fn a_text_of_a_lost_key_is_left_alone_rather_than_sealed_twice() {
        let sealed = keyring(1, &[]).seal(&"x".into(), &mut randomness());
        assert!(!keyring(2, &[]).needs_sealing(&sealed));
    }

    #[test]
    fn a_changed_or_cut_or_unknown_text_is_an_error_and_never_another_secret() {
        let keyring = keyring(1, &[]);
        let sealed = keyring.seal(&"secret".into(), &mut randomness());
        let head = sealed.rfind(':').unwrap() + 1;
        for at in head..sealed.len() - 1 {
            let mut altered = sealed.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(keyring.open(&altered).is_err(), "byte {at}");
        }
        assert!(matches!(
            keyring.open(&sealed[..head]),
            Err(CannotOpen::Altered { .. })
        ));
        for unknown in ["sealed:", "sealed:v1:", "sealed:v2:ab:AAAA"] {
            assert_eq!(keyring.open(unknown).unwrap_err(), CannotOpen::UnknownForm);
        }
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_or_hex_and_nothing_else() {
        let bytes = [0xfb; KEY_BYTES];
        let standard = STANDARD.encode(bytes);
        let url_safe = standard.replace('+', "-").replace('/', "_");
        let same = [
            &standard,
            standard.trim_end_matches('='),
            &url_safe,
            &"fb".repeat(KEY_BYTES),
            &"FB".repeat(KEY_BYTES),
            &format!("{standard}\n"),
        ];
        let sealed = Keyring::new(Some(&standard.as_str().into()), &[])
            .unwrap()
            .seal(&"x".into(), &mut randomness());
        for text in same {
            let keyring = Keyring::new(Some(&text.into()), &[]).unwrap();
            assert_eq!(opened(&keyring, &sealed), "x", "{text}");
        }
        for text in [
            "",
            "a passphrase of many words",
            &"+f".repeat(32),
            "ééééééééé",
            &standard[4..],
        ] {
            let error = Keyring::new(Some(&text.into()), &[]).unwrap_err();
            assert!(
                error.to_string().contains("openssl rand -base64 32"),
                "{text}"
            );
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_key() {
        assert_eq!(format!("{:?}", keyring(1, &[2])), "Keyring([REDACTED])");
    }
}
