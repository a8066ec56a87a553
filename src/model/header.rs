//! Custom headers of an endpoint: which names are not its owner's to set.

use http::HeaderName;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

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
