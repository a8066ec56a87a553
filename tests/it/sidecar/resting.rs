//! What a sidecar costs those who write: while nobody is connected, and while somebody is.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::timeout;

use super::subscriber::Subscriber;
use super::{connections, sidecar, started};
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_is_connected_nothing_is_read_and_nobody_rings_and_who_comes_back_has_it_all()
{
    let app = TestApp::start().await;
    let process = started(sidecar(&app).set("realtime.linger_s", 0)).await;
    let address = process.address();
    let subscriber = Subscriber::connect(address.unwrap(), "").await;
    let mut events = vec![app.emit("order.paid", "{}").await];
    subscriber.assert_has_exactly(&events).await;
    assert!(connections(&app, "doorbell").await > 0);
    subscriber.lead_to(None);
    until("nobody listens any more", PATIENCE, async || {
        connections(&app, "doorbell").await == 0
    })
    .await;
    let mut listener = PgListener::connect_with(app.pool()).await.unwrap();
    listener.listen("postrider").await.unwrap();
    let mut statements: BTreeSet<String> = BTreeSet::new();
    for _ in 0..200 {
        events.push(app.emit("order.paid", "{}").await);
        let latest = "select coalesce(string_agg(query_start::text, ' '), '') from pg_stat_activity
             where datname = current_database() and application_name in ('postrider tail', 'postrider realtime')";
        statements.insert(app.value(latest).await);
    }
    // Looking now and then whether all is well is no reading.
    assert!(statements.len() <= 3, "{statements:?}");
    let rung = timeout(Duration::from_millis(100), listener.recv()).await;
    assert!(rung.is_err(), "{rung:?}");
    subscriber.lead_to(address);
    subscriber.connected(2).await;
    events.push(app.emit("order.paid", "{}").await);
    subscriber.assert_has_exactly(&events).await;
    assert!(connections(&app, "doorbell").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_events_flow_to_a_client_commits_ring_for_nobody() {
    let app = TestApp::start().await;
    let process = started(sidecar(&app).set("doorbell.awake_min_ms", 2000)).await;
    let subscriber = Subscriber::connect(process.address().unwrap(), "").await;
    let mut listener = PgListener::connect_with(app.pool()).await.unwrap();
    listener.listen("postrider").await.unwrap();
    let mut events = Vec::new();
    for _ in 0..300 {
        events.push(app.emit("order.paid", "{}").await);
    }
    subscriber.assert_has_exactly(&events).await;
    let mut rings = 0;
    while let Ok(rung) = timeout(Duration::from_millis(100), listener.recv()).await {
        rung.unwrap();
        rings += 1;
    }
    // The first ones wake it.
    assert!(rings < 30, "{rings} rings for {} commits", events.len());
}
