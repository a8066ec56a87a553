//! How single values are read: durations by the unit in their name, empty text as "not set".

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::de::{Deserialize, Deserializer, Error};

/// `…_s`: seconds, whole or with a fraction.
pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(from)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| D::Error::custom("expected a number of seconds, 0 or more"))
}

/// `…_ms`: milliseconds.
pub(super) fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

/// `…_hours`: hours.
pub(super) fn hours<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u32::deserialize(from).map(|hours| Duration::from_hours(hours.into()))
}

/// `…_days`: days, 0 for never.
pub(super) fn days_or_never<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    let days = u32::deserialize(from)?;
    Ok((days > 0).then(|| Duration::from_hours(u64::from(days) * 24)))
}

/// Text, or nothing where it is empty.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    Ok((!text.is_empty()).then_some(text))
}

/// A path, or nothing where it is empty.
pub(super) fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(text(from)?.map(PathBuf::from))
}

/// A secret, or nothing where it is empty.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Ok(text(from)?.map(SecretString::from))
}

/// Networks; a single address is the network of itself.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(from)?
        .iter()
        .map(|text| network(text))
        .collect::<Result<_, _>>()
        .map_err(D::Error::custom)
}

/// One network or address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text
        .parse()
        .map(|address: std::net::IpAddr| IpNet::from(address));
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("{text:?} is neither a network such as 10.0.0.0/8 nor an address"))
}
