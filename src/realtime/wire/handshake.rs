//! The upgrade from a request to a socket.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};

use super::deflate;

/// From RFC 6455.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that asks for a WebSocket.
#[derive(Debug)]
pub struct Asked {
    /// What the answer must show.
    accept: HeaderValue,
    /// Compression is offered: what to answer where it is to be used.
    offered: Option<HeaderValue>,
    /// The connection, once the answer has gone out.
    pub upgrade: Upgrade,
}

/// A connection to be, and what was agreed for it.
#[derive(Debug)]
pub struct Upgrade {
    /// It.
    pub on: OnUpgrade,
    /// Messages may be compressed: what is answered to that offer.
    pub deflate: Option<HeaderValue>,
}

impl Asked {
    /// Where it is offered and may be used, messages are compressed; else none is.
    #[must_use]
    pub fn compressed(mut self, allowed: bool) -> Self {
        self.upgrade.deflate = self.offered.take().filter(|_| allowed);
        self
    }
}

/// Whether it asks for a WebSocket at all.
pub fn is_asked(headers: &HeaderMap) -> bool {
    has(headers, header::UPGRADE, "websocket")
}

/// Takes the upgrade out of a request; what is wrong with it, where it cannot be.
pub fn asked(request: &mut Request) -> Result<Asked, &'static str> {
    let headers = request.headers();
    if !is_asked(headers) || !has(headers, header::CONNECTION, "upgrade") {
        return Err("this is a WebSocket; connect to it as one");
    }
    if headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .map(HeaderValue::as_bytes)
        != Some(b"13")
    {
        return Err("Sec-WebSocket-Version must be 13");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.filter(|key| BASE64.decode(key).is_ok_and(|key| key.len() == 16));
    let key = key.ok_or("Sec-WebSocket-Key is not the base64 of 16 bytes")?;
    let digest = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    let accept = HeaderValue::from_str(&BASE64.encode(digest)).expect("base64 is a header value");
    let offered = deflate::agreed(headers);
    let on = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or("this connection cannot be upgraded")?;
    let deflate = None;
    Ok(Asked {
        accept,
        offered,
        upgrade: Upgrade { on, deflate },
    })
}

/// The answer that goes with it.
pub fn accepted(asked: &Asked) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, asked.accept.clone());
    if let Some(deflate) = &asked.upgrade.deflate {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, deflate.clone());
    }
    response
}

/// Whether a list of tokens has this one.
fn has(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter();
    let mut tokens = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens.any(|one| one.trim().eq_ignore_ascii_case(token))
}
