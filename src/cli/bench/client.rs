//! The same requests without a queue: what the guarded client and the receiver can do alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use reqwest::Request;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use url::Url;

use super::stage::Stage;
use crate::channels::egress::{Egress, GuardedClient};
use crate::crypto::signature_header;
use crate::db::bench::{INSTANCE, payload};
use crate::dialect::{Dialect, Identity, Parts, envelope};

/// Posts as a worker would, with everything but the sending done beforehand.
#[derive(Debug)]
pub(super) struct Poster {
    client: GuardedClient,
    templates: Arc<Vec<Template>>,
}

/// A request to one endpoint.
#[derive(Debug)]
struct Template {
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Poster {
    /// For so many endpoints of the receiver.
    pub(super) fn new(
        stage: &Stage,
        receiver: SocketAddr,
        endpoints: usize,
        payload_bytes: usize,
    ) -> anyhow::Result<Self> {
        let egress = Egress {
            allow: vec!["127.0.0.0/8".parse().context("the loopback network")?],
            ..Egress::default()
        };
        let templates = (0..endpoints)
            .map(|number| template(stage, receiver, number, payload_bytes))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            client: GuardedClient::new(&egress)?,
            templates: Arc::new(templates),
        })
    }

    /// Posts so many, with so many in flight.
    pub(super) async fn post(&self, requests: u64, in_flight: usize) -> anyhow::Result<()> {
        let left = Arc::new(AtomicI64::new(i64::try_from(requests)?));
        let mut posting = JoinSet::new();
        for number in 0..in_flight {
            let (client, left) = (self.client.clone(), left.clone());
            let templates = self.templates.clone();
            posting.spawn(async move {
                let mut next = number;
                while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                    let template = &templates[next % templates.len()];
                    next += 1;
                    let mut response = client.execute(template.request()).await?;
                    ensure!(response.status().is_success(), "the sink refused a request");
                    while response.chunk().await?.is_some() {}
                }
                Ok(())
            });
        }
        while let Some(ended) = posting.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Template {
    fn request(&self) -> Request {
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = Some(self.body.clone().into());
        request
    }
}

/// The request of one delivery, envelope and signature included.
fn template(
    stage: &Stage,
    receiver: SocketAddr,
    number: usize,
    payload_bytes: usize,
) -> anyhow::Result<Template> {
    let data = payload(number as u64, payload_bytes);
    let now = OffsetDateTime::now_utc();
    let id = format!("evt_{number}_{number:x}");
    let body = envelope(
        Dialect::Postrider,
        &Parts {
            event_id: &id,
            event_type: "message.exchange",
            instance: INSTANCE,
            identity: &Identity::default(),
            sender: None,
            destination: "",
            instance_token: None,
            base_url: "",
            occurred_at: now,
            data: data.as_bytes(),
        },
    );
    let timestamp = now.unix_timestamp().to_string();
    let secrets = std::slice::from_ref(&stage.secret);
    let mut headers = HeaderMap::new();
    let agent = concat!("Postrider/", env!("CARGO_PKG_VERSION"));
    headers.insert("user-agent", HeaderValue::from_static(agent));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-postrider-attempt", HeaderValue::from_static("1"));
    headers.insert(
        "webhook-signature",
        signature_header(secrets, &id, &timestamp, &body),
    );
    headers.insert("webhook-id", id.parse()?);
    headers.insert("webhook-timestamp", timestamp.parse()?);
    Ok(Template {
        url: format!("http://{receiver}/{number}").parse()?,
        headers,
        body,
    })
}
