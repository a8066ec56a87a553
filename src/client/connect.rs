//! From a URL to an open WebSocket.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use tokio_tungstenite::tungstenite::http::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, handshake};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::{Host, Url};

use super::Error;

/// For the name, the connection, TLS and the handshake together.
const PATIENCE: Duration = Duration::from_secs(15);
/// No event is longer: Postgres stores none that is.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// A server may not have us wait longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// What bytes go over: TCP, or TLS.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open connection.
pub(super) type Socket = WebSocketStream<Box<dyn Wire>>;

/// Reads the URL of a server.
pub(super) fn base(text: &str) -> Result<Url, Error> {
    let mut url = Url::parse(text).map_err(|error| Error::Url(error.to_string()))?;
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        other => {
            return Err(Error::Url(format!(
                "it begins with {other}:, not http: or https:"
            )));
        }
    };
    if url.host().is_none() || url.set_scheme(scheme).is_err() {
        return Err(Error::Url("it names no host".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Url(
            "it holds a user or a password; give a token".to_owned(),
        ));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// The stream of an instance.
pub(super) fn stream(base: &Url, instance: &str) -> Url {
    let mut url = base.clone();
    // Only a URL that cannot be a base has no segments, and it has a host.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
        segments.extend(["v1", "instances", instance, "stream"]);
    }
    url
}

/// Connects.
pub(super) async fn open(url: &Url, token: &SecretString) -> Result<Socket, Error> {
    let opening = async {
        let request = request(url, token)?;
        let wire = wire(url).await.map_err(Error::Unreachable)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let opened = client_async_with_config(request, wire, Some(config)).await;
        opened
            .map(|(socket, _)| socket)
            .map_err(|error| match error {
                tungstenite::Error::Http(response) => refused(&response),
                error => Error::Lost(error.into()),
            })
    };
    let late = || Error::Unreachable(io::ErrorKind::TimedOut.into());
    timeout(PATIENCE, opening)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// The request for a WebSocket. The token goes as a header: a URL would be logged on its way.
fn request(url: &Url, token: &SecretString) -> Result<Request<()>, Error> {
    let request = url.as_str().into_client_request();
    let mut request = request.map_err(|error| Error::Url(error.to_string()))?;
    let bearer = format!("Bearer {}", token.expose_secret());
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| Error::Token)?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    Ok(request)
}

/// A connection, with TLS where the URL asks for it.
async fn wire(url: &Url) -> io::Result<Box<dyn Wire>> {
    let port = url.port_or_known_default().unwrap_or(443);
    let stream = match url.host() {
        Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
        Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
        Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
        None => Err(io::ErrorKind::InvalidInput.into()),
    }?;
    stream.set_nodelay(true)?;
    if url.scheme() != "wss" {
        return Ok(Box::new(stream));
    }
    let host = url.host_str().unwrap_or_default();
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let secured = TlsConnector::from(tls()?).connect(name, stream).await?;
    Ok(Box::new(secured))
}

/// TLS by the system's authorities, read once.
fn tls() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// The answer was none of a WebSocket.
fn refused(response: &handshake::client::Response) -> Error {
    let body = response.body().as_deref().unwrap_or_default();
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let detail = problem
        .as_ref()
        .and_then(|problem| problem["detail"].as_str());
    let reason = response.status().canonical_reason().unwrap_or_default();
    Error::Refused {
        status: response.status().as_u16(),
        detail: detail.unwrap_or(reason).to_owned(),
        retry_after: retry_after(response),
    }
}

/// When a server wants to be asked again.
fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = seconds.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::{base, stream};

    #[test]
    fn the_stream_of_an_instance_is_below_the_servers_url() {
        let check = |server: &str, instance: &str, expected: &str| {
            let url = stream(&base(server).unwrap(), instance);
            assert_eq!(url.as_str(), expected);
        };
        check(
            "http://localhost:8080",
            "shop",
            "ws://localhost:8080/v1/instances/shop/stream",
        );
        check(
            "https://a.example/events/?x=1#y",
            "a/b ?",
            "wss://a.example/events/v1/instances/a%2Fb%20%3F/stream",
        );
        check(
            "wss://[::1]/",
            "é",
            "wss://[::1]/v1/instances/%C3%A9/stream",
        );
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused() {
        for (text, expected) in [
            ("localhost:8080", "begins with localhost:"),
            ("ftp://a.example", "begins with ftp:"),
            ("https://user:secret@a.example", "give a token"),
            ("//", "relative"),
        ] {
            let error = base(text).unwrap_err().to_string();
            assert!(
                error.contains(expected) && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
