//! Custom headers of an endpoint: which can be sent, and which names are not its owner's to set.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};

/// A longer value is no header's: servers refuse a request whose headers are more than some kilobytes.
const HEADER_CHARACTERS_MAX: usize = 4096;

/// Why a header cannot be an endpoint's own. It says what follows its name; the value is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// No header is called so.
    #[error("cannot name a header")]
    Name,
    /// With it no delivery would succeed, or it would pass for something we say.
    #[error("is one that Postrider sets itself: remove it")]
    Reserved,
    /// Line breaks and the like.
    #[error("has characters that no header may have")]
    Value,
    /// More than any server takes.
    #[error("is longer than {HEADER_CHARACTERS_MAX} characters")]
    Long,
}

/// Whether a header can be sent, and is the endpoint's owner's to set.
pub fn check_header(name: &str, value: &str) -> Result<(), HeaderProblem> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderProblem::Name)?;
    if is_reserved_header(&name) {
        return Err(HeaderProblem::Reserved);
    }
    check_header_value(value)
}

/// Whether this can be the value of a header.
pub fn check_header_value(value: &str) -> Result<(), HeaderProblem> {
    if value.chars().count() > HEADER_CHARACTERS_MAX {
        return Err(HeaderProblem::Long);
    }
    HeaderValue::from_str(value)
        .map(drop)
        .map_err(|_| HeaderProblem::Value)
}

/// What every delivery carries of ours.
const OURS: [&str; 4] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-postrider-attempt",
];

/// Whether a custom header of this name would break the request or pass for something we say: such a one is refused.
pub fn is_reserved_header(name: &HeaderName) -> bool {
    [
        CONNECTION,
        CONTENT_LENGTH,
        HOST,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
        || OURS.contains(&name.as_str())
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}
