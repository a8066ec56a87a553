//! Media that an event gives by URL, fetched for endpoints that asked for its content.
//!
//! By the guarded client, like every call; no larger than configured; and of all that is fetched at a time no more than a budget
//! is in memory.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Method, StatusCode};
use reqwest::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::egress::GuardedClient;
use super::webhook::failure;

/// The budget, unless one alone may be larger. It is there about five times over: as bytes, as base64, in the event, in the
/// envelope, on its way out.
const BUDGET_BYTES: usize = 32 * 1024 * 1024;
/// The unit in which the budget is counted.
const UNIT_BYTES: usize = 1024;

/// Fetches media. Cheap to clone; clones share the budget.
#[derive(Debug, Clone)]
pub struct MediaClient {
    client: GuardedClient,
    bytes_max: usize,
    budget: Arc<Semaphore>,
}

/// Content that was fetched. Its part of the budget is free again when this is dropped.
#[derive(Debug)]
pub struct Media {
    /// The whole content, in base64.
    pub base64: String,
    /// Of the budget.
    _room: OwnedSemaphorePermit,
}

/// Why there is no content, for the attempt log. Names the host, never a path or a query, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("media of {host} is not embedded: {problem}; its URL is left")]
pub struct NotFetched {
    host: String,
    problem: String,
}

impl MediaClient {
    /// Fetches by `client` what is not larger than `bytes_max`.
    pub fn new(client: GuardedClient, bytes_max: usize) -> Self {
        Self {
            client,
            bytes_max,
            budget: Arc::new(Semaphore::new(units(BUDGET_BYTES.max(bytes_max)))),
        }
    }

    /// What is at `url`, by the deadline.
    pub async fn fetch(&self, url: &str, deadline: Instant) -> Result<Media, NotFetched> {
        let parsed = Url::parse(url);
        let host = match &parsed {
            Ok(url) => url.host_str().unwrap_or("no host").to_owned(),
            Err(_) => "an unknown host".to_owned(),
        };
        let fetched = match parsed {
            Ok(url) => timeout_at(deadline, self.get(url)).await,
            Err(error) => Ok(Err(format!("its URL is none ({error})"))),
        };
        match fetched {
            Ok(Ok(media)) => Ok(media),
            Ok(Err(problem)) => Err(NotFetched { host, problem }),
            Err(_) => Err(NotFetched {
                host,
                problem: "not there in time".to_owned(),
            }),
        }
    }

    /// Without a deadline.
    async fn get(&self, url: Url) -> Result<Media, String> {
        let mut request = Request::new(Method::GET, url);
        // Content as it is stored: nothing here unpacks.
        let identity = HeaderValue::from_static("identity");
        request.headers_mut().insert(ACCEPT_ENCODING, identity);
        let response = self.client.execute(request).await.map_err(|problem| {
            let detail = failure(&problem).detail;
            detail.trim_start_matches("not sent: ").to_owned()
        })?;
        if response.status() != StatusCode::OK {
            return Err(format!("{}", response.status()));
        }
        self.read(response).await
    }

    /// The body, if it is not too large.
    async fn read(&self, mut response: Response) -> Result<Media, String> {
        let too_large = || {
            format!(
                "it is larger than limits.media_bytes_max, {} bytes",
                self.bytes_max
            )
        };
        let announced = response
            .content_length()
            .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced.is_some_and(|bytes| bytes > self.bytes_max) {
            return Err(too_large());
        }
        let room = units(announced.unwrap_or(self.bytes_max));
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.budget).acquire_many_owned(room).await;
        let room = room.map_err(|_| "the worker ends".to_owned())?;
        let mut content = BytesMut::with_capacity(announced.unwrap_or_default());
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|_| "its body was cut off".to_owned())?
        {
            if content.len() + chunk.len() > self.bytes_max {
                return Err(too_large());
            }
            content.extend_from_slice(&chunk);
        }
        Ok(Media {
            base64: STANDARD.encode(&content),
            _room: room,
        })
    }
}

/// How much of the budget so many bytes take.
fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES).max(1)
}
