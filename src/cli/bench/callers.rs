//! So many clients, each asking again as soon as it is answered: of the HTTP API, and of SQL.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::Request;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use crate::channels::egress::{Egress, GuardedClient};
use crate::db::bench::{Application, INSTANCE};

/// What all clients did together.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Events, or requests where there are none.
    pub items: u64,
    /// From the first to the last.
    pub wall_s: f64,
    /// Of each call.
    pub latencies_ms: Vec<f64>,
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    method: Method,
    path: String,
    body: Option<Bytes>,
    /// How many items a call is.
    items: u64,
    /// What it is answered with.
    status: StatusCode,
}

impl Asked {
    /// One event.
    pub(super) fn publish(data: &str) -> Self {
        Self {
            method: Method::POST,
            path: format!("/v1/instances/{INSTANCE}/events"),
            body: Some(event(data).into()),
            items: 1,
            status: StatusCode::ACCEPTED,
        }
    }

    /// So many events.
    pub(super) fn publish_batch(data: &str, count: usize) -> Self {
        let events = vec![event(data); count].join(",");
        Self {
            path: format!("/v1/instances/{INSTANCE}/events/batch"),
            body: Some(format!("{{\"events\":[{events}]}}").into()),
            items: count as u64,
            ..Self::publish(data)
        }
    }

    /// The endpoints of an instance.
    pub(super) fn endpoints() -> Self {
        Self {
            method: Method::GET,
            path: format!("/v1/instances/{INSTANCE}/endpoints"),
            body: None,
            items: 1,
            status: StatusCode::OK,
        }
    }
}

/// An event as the API takes it.
fn event(data: &str) -> String {
    format!("{{\"type\":\"message.exchange\",\"data\":{data}}}")
}

/// Clients of the API, which keep their connections.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    client: GuardedClient,
    url: Url,
    headers: HeaderMap,
    asked: Arc<Asked>,
}

impl Caller {
    /// They all ask for the same.
    pub(super) fn new(api: SocketAddr, token: &SecretString, asked: Asked) -> anyhow::Result<Self> {
        let egress = Egress {
            allow: vec!["127.0.0.0/8".parse().context("the loopback network")?],
            ..Egress::default()
        };
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", token.expose_secret());
        headers.insert(AUTHORIZATION, bearer.parse()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self {
            client: GuardedClient::new(&egress)?,
            url: format!("http://{api}{}", asked.path).parse()?,
            headers,
            asked: Arc::new(asked),
        })
    }

    /// So many clients, for so long.
    pub(super) async fn call(&self, clients: u32, seconds: f64) -> anyhow::Result<Calls> {
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(seconds);
        let mut calling = JoinSet::new();
        for _ in 0..clients {
            let caller = self.clone();
            calling.spawn(async move {
                let mut latencies_ms = Vec::new();
                while Instant::now() < end {
                    let began = Instant::now();
                    caller.once().await?;
                    latencies_ms.push(began.elapsed().as_secs_f64() * 1000.0);
                }
                anyhow::Ok(latencies_ms)
            });
        }
        together(calling, start, self.asked.items).await
    }

    /// One request.
    async fn once(&self) -> anyhow::Result<()> {
        let mut request = Request::new(self.asked.method.clone(), self.url.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = self.asked.body.clone().map(Into::into);
        let mut response = self.client.execute(request).await?;
        let status = response.status();
        ensure!(status == self.asked.status, "the API answered {status}");
        while response.chunk().await?.is_some() {}
        Ok(())
    }
}

/// Clients of SQL.
#[derive(Debug, Clone)]
pub(super) struct Emitter {
    /// The data of each event.
    pub event: Arc<str>,
}

impl Emitter {
    /// One client for each connection, for so long.
    pub(super) async fn call(
        &self,
        applications: Vec<Application>,
        seconds: u32,
    ) -> anyhow::Result<Calls> {
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds.into());
        let mut calling = JoinSet::new();
        for mut application in applications {
            let event = self.event.clone();
            calling.spawn(async move {
                let mut latencies_ms = Vec::new();
                while Instant::now() < end {
                    let began = Instant::now();
                    application.publish(INSTANCE, &event).await?;
                    latencies_ms.push(began.elapsed().as_secs_f64() * 1000.0);
                }
                application.close().await?;
                anyhow::Ok(latencies_ms)
            });
        }
        together(calling, start, 1).await
    }
}

/// Waits for all, and puts together what they did.
async fn together(
    mut calling: JoinSet<anyhow::Result<Vec<f64>>>,
    start: Instant,
    items: u64,
) -> anyhow::Result<Calls> {
    let mut calls = Calls::default();
    while let Some(ended) = calling.join_next().await {
        calls.latencies_ms.extend(ended??);
    }
    calls.wall_s = start.elapsed().as_secs_f64();
    calls.items = calls.latencies_ms.len() as u64 * items;
    Ok(calls)
}
