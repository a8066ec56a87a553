//! Which headers an attempt carries.

use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use time::OffsetDateTime;

use crate::dialect::{self, Dialect, evolution};
use crate::model::{Destination, Header, Parcel, is_reserved_header};

pub(super) const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
pub(super) const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
pub(super) const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const ATTEMPT: HeaderName = HeaderName::from_static("x-postrider-attempt");

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("Postrider/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Room for ours and a few of the endpoint's, so that the map is allocated once.
const USUAL_COUNT: usize = 14;

/// All but id, timestamp and signature: the endpoint's own verbatim, ours where it has none of that name.
///
/// Fails with the name of a reserved header.
pub(super) fn of(parcel: &Parcel, now: OffsetDateTime) -> Result<HeaderMap, HeaderName> {
    let (custom, authorization): (&[Header], _) = match &parcel.to {
        Destination::Endpoint(endpoint) => (&endpoint.headers, &endpoint.authorization),
        Destination::Direct { authorization, .. } => (&[], authorization),
    };
    let mut headers = HeaderMap::with_capacity(USUAL_COUNT + custom.len());
    for Header { name, value } in custom {
        if is_reserved_header(name) {
            return Err(name.clone());
        }
        if name.as_str() == evolution::JWT_KEY && is_evolution(parcel) {
            headers.insert(AUTHORIZATION, minted(value.as_bytes(), now));
            continue;
        }
        headers.append(name, value.clone());
    }
    if let Destination::Endpoint(endpoint) = &parcel.to {
        for (name, value) in dialect::headers(endpoint.dialect, &endpoint.identity) {
            headers.entry(name).or_insert(value);
        }
    }
    headers.entry(USER_AGENT).or_insert(AGENT);
    headers.entry(CONTENT_TYPE).or_insert(JSON);
    headers.insert(ATTEMPT, parcel.attempt.into());
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    Ok(headers)
}

/// Whether a custom header may be Evolution's key for tokens.
fn is_evolution(parcel: &Parcel) -> bool {
    matches!(&parcel.to, Destination::Endpoint(endpoint) if endpoint.dialect == Dialect::Evolution)
}

/// The token that Evolution API makes with the endpoint's key.
fn minted(key: &[u8], now: OffsetDateTime) -> HeaderValue {
    let value = HeaderValue::try_from(evolution::bearer(key, now));
    let mut value = value.expect("base64 and dots are legal in a header");
    value.set_sensitive(true);
    value
}
