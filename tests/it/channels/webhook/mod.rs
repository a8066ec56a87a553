//! The webhook channel.

mod answers;
mod egress;
mod request;
mod tls;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider::channels::egress::{Egress, GuardedClient};
use postrider::channels::{Channel, Failure, Outcome, WallClock, Webhook};
use postrider::dialect::Dialect;
use postrider::model::{self, Destination, Endpoint, EndpointState, Parcel, Schedule};
use time::OffsetDateTime;
use tokio::time::Instant;

/// Tells a child process where to deliver to.
const GOAL: &str = "POSTRIDER_TEST_GOAL";

/// What the tests send.
const PAYLOAD: &str = r#"{ "text":"olá","n":1.0 }"#;

/// A channel that may call loopback.
fn webhook() -> Webhook {
    webhook_with(&loopback_allowed())
}

fn webhook_with(egress: &Egress) -> Webhook {
    let client = GuardedClient::new(egress).unwrap();
    Webhook::new(
        client,
        Arc::new(WallClock::default()),
        "https://api.example.com",
    )
}

fn loopback_allowed() -> Egress {
    Egress {
        allow: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        ..Egress::default()
    }
}

/// An endpoint that wants nothing special.
fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        id: 1,
        version: 1,
        instance: "my-instance".into(),
        identity: postrider::dialect::Identity::default(),
        label: "default".into(),
        channel: model::Channel::Webhook,
        dialect: Dialect::Postrider,
        url: url.parse().unwrap(),
        by_events: false,
        fetches_media: false,
        authorization: None,
        headers: vec![],
        signing: vec![],
        timeout: Duration::from_secs(5),
        in_flight_max: 10,
        schedule: Arc::new(schedule(&[])),
        state: EndpointState::Enabled,
        instance_token: Some("t0k".into()),
        sealed_shut: None,
        url_text: String::new(),
    }
}

fn schedule(final_statuses: &[u16]) -> Schedule {
    Schedule {
        name: "default".into(),
        waits: vec![Duration::from_secs(1)],
        jitter: 0.2,
        jitter_both_ways: false,
        final_statuses: final_statuses.to_vec(),
    }
}

/// A parcel with time enough.
fn parcel(to: Destination) -> Parcel {
    Parcel {
        event_id: "evt_2KWPBgLlAfxdpx2AI54pPJ85f4W".into(),
        event_type: "message.exchange".into(),
        instance: "my-instance".into(),
        sender: None,
        occurred_at: OffsetDateTime::from_unix_timestamp(1_777_372_200).unwrap(),
        attempt: 1,
        payload: Bytes::from_static(PAYLOAD.as_bytes()),
        to,
        deadline: Instant::now() + Duration::from_secs(20),
    }
}

fn to(endpoint: Endpoint) -> Parcel {
    parcel(Destination::Endpoint(Arc::new(endpoint)))
}

fn direct(url: impl Into<String>) -> Parcel {
    parcel(Destination::Direct {
        url: url.into(),
        authorization: None,
    })
}

/// One attempt at `url` by an endpoint that wants nothing special.
async fn deliver(webhook: &Webhook, url: &str) -> Outcome {
    webhook.deliver(&to(endpoint(url))).await
}

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Delivered(receipt) => panic!("delivered: {receipt:?}"),
    }
}

fn assert_delivered(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
}

/// Runs the ignored test `name` of this folder with `environment`, which belongs to a whole process and so to a child.
async fn in_a_child_process(name: &str, environment: Vec<(&'static str, String)>) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--ignored", "--exact"])
        .arg(format!("channels::webhook::{name}"))
        .envs(environment);
    let output = tokio::task::spawn_blocking(move || child.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
}
