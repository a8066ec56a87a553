//! What is checked of an endpoint before anything is written, so that the answer names the field.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::crypto::SigningSecret;
use crate::http::fault::Fault;
use crate::model::{Guard, check_header, check_header_value, target};

/// More types than this are no filter.
const EVENTS_MAX: usize = 1000;

/// The label.
pub(super) fn label(text: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=50).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    let message = "label is 1 to 50 letters, digits, underscores or dashes";
    Err(Fault::invalid("label", message))
}

/// Where a webhook goes.
pub(super) fn url(text: &str, guard: &Guard) -> Result<(), Fault> {
    target(text, guard)
        .map(drop)
        .map_err(|problem| Fault::invalid("url", format!("url: {problem}")))
}

/// Event types.
pub(super) fn events(types: &[String]) -> Result<(), Fault> {
    if types.len() > EVENTS_MAX {
        let message = format!("events: at most {EVENTS_MAX}; an empty list means all");
        return Err(Fault::invalid("events", message));
    }
    for (at, event_type) in types.iter().enumerate() {
        let blank = |character: char| character.is_whitespace() || character.is_control();
        if event_type.is_empty() || event_type.chars().count() > 200 || event_type.contains(blank) {
            let place = format!("events[{at}]");
            let message = format!(
                "{place}: a type is 1 to 200 characters without spaces or control characters"
            );
            return Err(Fault::invalid(place, message));
        }
    }
    Ok(())
}

/// The `Authorization` header, as it will be sent.
pub(super) fn authorization(text: String) -> Result<SecretString, Fault> {
    if text.is_empty() {
        let message = "authorization: empty; null removes it";
        return Err(Fault::invalid("authorization", message));
    }
    match check_header_value(&text) {
        Ok(()) => Ok(text.into()),
        Err(problem) => {
            let message = format!("authorization {problem}; null removes it");
            Err(Fault::invalid("authorization", message))
        }
    }
}

/// Custom headers. Their values are not repeated.
pub(super) fn headers(
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, SecretString>, Fault> {
    let mut checked = BTreeMap::new();
    for (name, value) in given {
        let place = format!("headers.{name}");
        if let Err(problem) = check_header(&name, &value) {
            let message = format!("{place} {problem}");
            return Err(Fault::invalid(place, message));
        }
        checked.insert(name, value.into());
    }
    Ok(checked)
}

/// A signing secret.
pub(super) fn signing_secret(text: &str) -> Result<SigningSecret, Fault> {
    SigningSecret::parse(text)
        .map_err(|problem| Fault::invalid("signing_secret", format!("signing_secret: {problem}")))
}

/// A number with its limits.
pub(super) fn within(
    place: &'static str,
    value: Option<i32>,
    limits: std::ops::RangeInclusive<i32>,
) -> Result<(), Fault> {
    if value.is_none_or(|value| limits.contains(&value)) {
        return Ok(());
    }
    let message = format!("{place} is {} to {}", limits.start(), limits.end());
    Err(Fault::invalid(place, message))
}
