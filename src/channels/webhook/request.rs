//! A parcel as an HTTP request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Request;
use secrecy::ExposeSecret;
use time::OffsetDateTime;
use url::Url;

use super::Origin;
use super::headers::{self, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use crate::crypto::signature_header;
use crate::dialect::{Parts, envelope};
use crate::model::{Destination, Endpoint, Parcel};

/// Why a parcel cannot be sent as it is configured. No message shows a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The URL of a row without an endpoint.
    #[error("the row's url is not a URL ({0}): correct it and set status = 'pending'")]
    Url(#[from] url::ParseError),
    /// A secret of the endpoint stays shut, or its URL is none.
    #[error("not sent, for the endpoint cannot be used as it is: {0}")]
    SealedShut(String),
    /// A custom header that is not the endpoint's to set.
    #[error("the endpoint's header `{0}` is one that Postrider sets itself: remove it")]
    ReservedHeader(HeaderName),
    /// An id that cannot stand in a header.
    #[error("the event's id cannot be sent as a header")]
    EventId,
}

/// Where `parcel` goes: the endpoint's URL, with the event's suffix where it wants one, or the row's own.
pub fn url_of(parcel: &Parcel) -> Result<Url, url::ParseError> {
    match &parcel.to {
        Destination::Endpoint(endpoint) if endpoint.by_events => Ok(endpoint
            .dialect
            .url_by_event(&endpoint.url, &parcel.event_type)),
        Destination::Endpoint(endpoint) => Ok(endpoint.url.clone()),
        Destination::Direct { url, .. } => url.parse(),
    }
}

/// The request of one attempt, made at `now`.
pub(super) fn build(
    parcel: &Parcel,
    origin: &Origin,
    now: OffsetDateTime,
) -> Result<Request, Unfit> {
    let mut url = url_of(parcel)?;
    let mut headers = headers::of(parcel, now).map_err(Unfit::ReservedHeader)?;
    move_credentials(&mut url, &mut headers);
    let id = HeaderValue::from_str(&parcel.event_id).map_err(|_| Unfit::EventId)?;
    let timestamp = HeaderValue::from(now.unix_timestamp());
    let body = match &parcel.to {
        Destination::Endpoint(endpoint) => {
            let body = wrapped(parcel, endpoint, origin)?;
            if !endpoint.signing.is_empty() {
                let timestamp = timestamp.to_str().expect("a number is visible ASCII");
                let signature =
                    signature_header(&endpoint.signing, &parcel.event_id, timestamp, &body);
                headers.insert(WEBHOOK_SIGNATURE, signature);
            }
            body
        }
        Destination::Direct { .. } => parcel.payload.clone(),
    };
    headers.insert(WEBHOOK_ID, id);
    headers.insert(WEBHOOK_TIMESTAMP, timestamp);
    let mut request = Request::new(Method::POST, url);
    *request.headers_mut() = headers;
    *request.body_mut() = Some(body.into());
    Ok(request)
}

/// The payload in the endpoint's envelope.
fn wrapped(parcel: &Parcel, endpoint: &Endpoint, origin: &Origin) -> Result<Bytes, Unfit> {
    if let Some(reason) = &endpoint.sealed_shut {
        return Err(Unfit::SealedShut(reason.clone()));
    }
    let token = endpoint.instance_token.as_ref();
    let token = token.filter(|_| origin.without_token != Some(endpoint.dialect));
    Ok(envelope(
        endpoint.dialect,
        &Parts {
            event_id: &parcel.event_id,
            event_type: &parcel.event_type,
            instance: &parcel.instance,
            identity: &endpoint.identity,
            sender: parcel.sender.as_deref(),
            destination: &endpoint.url_text,
            instance_token: token.map(ExposeSecret::expose_secret),
            base_url: &origin.public_url,
            occurred_at: parcel.occurred_at,
            data: &parcel.payload,
        },
    ))
}

/// `https://user:password@host/` means Basic authorization, as every HTTP client takes it. An `Authorization` of the endpoint's
/// own comes first.
fn move_credentials(url: &mut Url, headers: &mut HeaderMap) {
    if url.username().is_empty() && url.password().is_none() {
        return;
    }
    if !headers.contains_key(AUTHORIZATION) {
        let mut pair = percent_decoded(url.username());
        pair.push(b':');
        pair.extend(percent_decoded(url.password().unwrap_or_default()));
        let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
        let mut value = value.expect("base64 is legal in a header");
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    // Neither fails for a URL that has a user name.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// `%41` as `A`; anything else as it stands.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<2>().filter(|_| byte == b'%');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(value) = value {
            decoded.push(value);
            rest = &tail[2..];
        } else {
            decoded.push(byte);
            rest = tail;
        }
    }
    decoded
}
