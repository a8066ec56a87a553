//! The guarded client: the only way out of the house.
//!
//! http and https only, no redirects, no proxies from the environment, and no address that is not globally routable unless
//! `egress.allow` lists it. The address is checked where the connection is made (`resolve.rs`); a URL whose host *is* an address
//! never asks the resolver, so it is checked before every attempt. The peer of each response is compared once more.

mod resolve;
mod trust;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response};
use url::Host;

pub use crate::model::{Guard, Refused};
pub use resolve::Unresolved;
pub use trust::CannotTrust;

/// Kept open to one host while idle: as many as a worker has in flight, or each burst would begin with handshakes.
const IDLE_CONNECTIONS_PER_HOST: usize = 1_000;
/// Shorter than what common servers allow (nginx 75 s, load balancers 60 s), so that we rarely write to a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A silent HTTP/2 connection is asked whether it lives, or every request of its host would hang in it.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(10);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The section `egress` of the configuration.
#[derive(Debug, Clone)]
pub struct Egress {
    /// Networks that may be called although they are not globally routable.
    pub allow: Vec<IpNet>,
    /// PEM certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// For the name, the connection and the TLS handshake together.
    pub connect_timeout: Duration,
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum CannotBuild {
    /// The file of `egress.ca_file`.
    #[error(transparent)]
    Trust(#[from] CannotTrust),
    /// The client itself.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

/// Why a request brought no response.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The URL's scheme is another.
    #[error("only http and https URLs are called, not {0}")]
    Scheme(String),
    /// The rules forbid the address.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Anything else.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// An HTTP client that goes only where it may. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct GuardedClient {
    https: Client,
    http: Client,
    guard: Arc<Guard>,
}

impl GuardedClient {
    /// Reads the trusted certificates and prepares the pools of connections.
    pub fn new(egress: &Egress) -> Result<Self, CannotBuild> {
        let guard = Arc::new(Guard::new(egress.allow.clone()));
        let tls = trust::tls(egress.ca_file.as_deref())?;
        let resolver = resolve::GuardedResolver {
            guard: Arc::clone(&guard),
        };
        let builder = || builder(egress, tls.clone()).dns_resolver(resolver.clone());
        Ok(Self {
            https: builder().build()?,
            http: builder().http1_only().retry(no_retries()).build()?,
            guard,
        })
    }

    /// Sends `request` and returns when the head of the response is there. Sets no deadline beyond the connection's.
    pub async fn execute(&self, request: Request) -> Result<Response, Problem> {
        self.check(request.url())?;
        let client = match request.url().scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        let response = client.execute(request).await?;
        // Unreachable as long as connector and check agree; here so that a bug there is not an open door.
        if let Some(peer) = response.remote_addr() {
            self.guard.check(peer.ip())?;
        }
        Ok(response)
    }

    fn check(&self, url: &url::Url) -> Result<(), Problem> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Problem::Scheme(url.scheme().to_owned()));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => Ok(self.guard.check(IpAddr::V4(address))?),
            Some(Host::Ipv6(address)) => Ok(self.guard.check(IpAddr::V6(address))?),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// `reqwest` keeps a copy of each request, to send it once more where an HTTP/2 server says that it has not looked at it. Without
/// TLS there is no HTTP/2, and the copy of all headers would be for nothing.
fn no_retries() -> reqwest::retry::Builder {
    reqwest::retry::never().max_retries_per_request(0)
}

/// All settings but the guard.
fn builder(egress: &Egress, tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(egress.connect_timeout)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
        .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT)
}
