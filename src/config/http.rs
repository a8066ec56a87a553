//! `[http]`: the listener.

use std::net::SocketAddr;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use url::Url;

use super::check::Check;
use super::fields;

/// The HTTP listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where it listens; port 0 takes any free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// How clients reach it; none: as it listens.
    #[serde(deserialize_with = "fields::text")]
    pub public_url: Option<String>,
    /// The largest request body that is read.
    pub body_bytes_max: usize,
    /// Origins whose web pages may call the APIs; `*` is all of them.
    pub cors_origins: Vec<String>,
}

impl Http {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        check.range(
            "http.body_bytes_max",
            self.body_bytes_max,
            1024..=512 * 1024 * 1024,
        );
        check.require(
            self.cors_origins.iter().all(|origin| is_origin(origin)),
            "http.cors_origins",
            "an origin is a scheme and a host, as browsers send it, such as https://panel.example.com; * is all of them",
        );
    }
}

/// Whether a browser could send it as its page's origin.
fn is_origin(text: &str) -> bool {
    let parsed = Url::parse(text).map(|url| url.origin().ascii_serialization());
    text == "*" || parsed.is_ok_and(|origin| origin.eq_ignore_ascii_case(text))
}

/// An address with a port.
fn address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let remedy = "expected an address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    String::deserialize(from)?
        .parse()
        .map_err(|_| D::Error::custom(remedy))
}
