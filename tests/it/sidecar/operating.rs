//! What an operator sees of the sidecars, and may do.

use reqwest::Method;
use serde_json::Value;

use super::subscriber::Subscriber;
use super::{sidecar, started};
use crate::support::api::{ACCOUNT, TestApi};
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::Process;

/// Waits until so many connections are listed; answers with them.
async fn listed(api: &TestApi, count: usize) -> Vec<Value> {
    let mut items = Vec::new();
    until("the connections are listed", PATIENCE, async || {
        let path = "/v1/connections?instance=shop";
        let answer = api.get(path).bearer(ACCOUNT).send().await.json();
        items.clone_from(answer["items"].as_array().unwrap());
        items.len() == count
    })
    .await;
    items
}

/// Waits until a series has a value.
async fn shows(process: &Process, series: &str, value: f64) {
    until(series, PATIENCE, async || {
        let page = process.get("/metrics").unwrap_or_default();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.is_some_and(|rest| rest.trim().parse() == Ok(value))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_all_sidecars_are_listed_at_any_process_and_ended_from_there() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let (one, other) = (started(sidecar(&app)).await, started(sidecar(&app)).await);
    let here = Subscriber::connect(one.address().unwrap(), "").await;
    let there = Subscriber::connect(other.address().unwrap(), "").await;
    let items = listed(&api, 2).await;
    assert_ne!(items[0]["sidecar"], items[1]["sidecar"]);
    assert_eq!(
        (&items[0]["instance"], &items[0]["door"], &items[0]["token"]),
        (&"shop".into(), &"stream".into(), &"configured".into())
    );
    let path = format!("/v1/connections/{}", items[0]["id"]);
    let answer = api.call(Method::DELETE, &path).bearer(ACCOUNT).send().await;
    assert_eq!(answer.status, 202, "{answer:?}");
    until("one of them has been ended", PATIENCE, async || {
        here.closes().len() + there.closes().len() > 0
    })
    .await;
    assert_eq!([here.closes(), there.closes()].concat(), [1008]);
    // It comes back, as it may: it is another connection now.
    here.connected(1 + here.closes().len()).await;
    there.connected(1 + there.closes().len()).await;
    let again = listed(&api, 2).await;
    assert_ne!(again[1]["id"], items[1]["id"]);
    let answer = api.call(Method::DELETE, &path).bearer(ACCOUNT).send().await;
    assert_eq!(answer.status, 404, "{answer:?}");
    // Who is gone is not listed for long, however it went.
    other.kill();
    here.lead_to(None);
    listed(&api, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecars_metrics_tell_who_is_connected_what_they_are_sent_and_how_they_leave() {
    let app = TestApp::start().await;
    let process = started(sidecar(&app)).await;
    let address = process.address();
    let subscriber = Subscriber::connect(address.unwrap(), "").await;
    shows(
        &process,
        "postrider_realtime_connections{door=\"stream\"}",
        1.0,
    )
    .await;
    app.emit_many(100).await;
    subscriber.events(100).await;
    shows(
        &process,
        "postrider_realtime_messages_total{door=\"stream\"}",
        100.0,
    )
    .await;
    let bytes = process.metric("postrider_realtime_sent_bytes_total");
    assert!(bytes > 100.0 * 100.0, "{bytes}");
    assert!(process.metric("postrider_realtime_lag_seconds_count") >= 100.0);
    subscriber.lead_to(None);
    shows(
        &process,
        "postrider_realtime_closes_total{reason=\"left\"}",
        1.0,
    )
    .await;
    shows(
        &process,
        "postrider_realtime_connections{door=\"stream\"}",
        0.0,
    )
    .await;
    app.emit_many(10).await;
    subscriber.lead_to(address);
    subscriber.events(110).await;
    shows(
        &process,
        "postrider_realtime_messages_total{door=\"stream\"}",
        110.0,
    )
    .await;
    shows(
        &process,
        "postrider_realtime_resumes_total{from=\"ring\"}",
        1.0,
    )
    .await;
}
