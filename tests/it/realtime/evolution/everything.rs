//! Global mode: one socket that hears many instances, and what it counts as.

use serde_json::{Value, json};

use super::super::raw::{Client as Raw, Request};
use super::super::sidecar::{Sidecar, sidecar, sidecar_with};
use super::socketio::{Client, PACKAGE};
use super::{configure, emit, global, key, outline, outlined};
use crate::support::api::ACCOUNT;
use crate::support::app::{INSTANCE, TestApp};
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, until};

/// A bare socket that hears all of the account.
async fn bare(sidecar: &Sidecar) -> Raw {
    let path = format!("/?token={ACCOUNT}");
    Request::to(path).nobody().socket(sidecar).await
}

/// Waits until so many connections are listed for the operator.
async fn listed(app: &TestApp, count: i64) {
    until("they are listed", PATIENCE, async || {
        let listed = "select count(*) from postrider.connections where instance is null";
        app.value::<i64>(listed).await == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_hears_many_instances_is_one_connection_to_limits_metrics_and_the_operator() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    app.instance("stall").await;
    app.instance("yard").await;
    let settings = "connections_max = 2\nconnections_per_instance_max = 1\n[evolution]\nwebsocket_global_events = true\n";
    let sidecar = sidecar_with(&app, settings).await;
    let mut bare = bare(&sidecar).await;
    let form = json!({"query": {"apikey": ACCOUNT}, "transports": ["websocket"]});
    let mut client = Client::connected(&node, &sidecar, "/", &form).await;
    listed(&app, 2).await;
    assert_eq!(
        app.value::<i64>("select count(*) from postrider.connections")
            .await,
        2
    );
    for door in ["evolution", "socket.io"] {
        let series = format!("postrider_realtime_connections{{door=\"{door}\"}}");
        assert!((sidecar.metric(&series) - 1.0).abs() < 0.1, "{door}");
    }
    for (number, instance) in (1..).zip(["shop", "stall", "yard"]) {
        emit(&app, instance, "call", number).await;
        let expected = outlined("call", instance, number);
        assert_eq!(outline(&bare.message().await), expected);
        assert_eq!(client.hears().await, expected);
    }
    // The operator ends them, each as one.
    app.sql("select postrider.kick(id) from postrider.connections")
        .await;
    assert_eq!(bare.closed().await.0, 1008);
    let said = client.says().await;
    assert_eq!(said, json!({"disconnected": "io server disconnect"}));
    listed(&app, 0).await;
    sidecar.connected(0).await;
    let kicked = sidecar.metric("postrider_realtime_closes_total{reason=\"kicked\"}");
    assert!((kicked - 2.0).abs() < 0.1, "{kicked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_with_the_present_resumes_nothing_and_what_socket_io_sends_is_counted() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "").await;
    let sidecar = sidecar(&app).await;
    let key = key(&app, INSTANCE).await;
    let path = format!("/?token={key}&resume=1");
    let mut bare = Request::to(&path).nobody().socket(&sidecar).await;
    assert_eq!(bare.message().await["recovered"], true);
    let resumed = || {
        let of = |from: &str| {
            sidecar.metric(&format!(
                "postrider_realtime_resumes_total{{from=\"{from}\"}}"
            ))
        };
        of("ring") + of("table")
    };
    assert!(resumed() < 0.1);
    let large = "x".repeat(10_000);
    let series = "postrider_realtime_sent_bytes_total{door=\"socket.io\"}";
    for transport in ["websocket", "polling"] {
        let before = sidecar.metric(series);
        let form = json!({"query": {"apikey": key}, "transports": [transport]});
        let mut client = Client::connected(&node, &sidecar, "/shop", &form).await;
        let emit =
            format!("select postrider.emit('shop', 'call', '{{\"n\":1,\"x\":\"{large}\"}}')");
        app.sql(&emit).await;
        client.hears().await;
        let sent = sidecar.metric(series) - before;
        assert!((10_000.0..20_000.0).contains(&sent), "{transport}: {sent}");
    }
    let event: Value = bare.message().await;
    let path = format!("/?token={key}&cursor={}", event["cursor"].as_str().unwrap());
    let mut again = Request::to(&path).nobody().socket(&sidecar).await;
    assert_eq!(again.message().await["recovered"], true);
    assert!((resumed() - 1.0).abs() < 0.1);
}

/// How often the tables were looked at that those who connect are looked up in.
async fn looks(app: &TestApp) -> i64 {
    // What a backend has counted is there for all to see once it has ended.
    app.sql("select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name = 'postrider realtime'")
        .await;
    app.value("select sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0))::bigint from pg_stat_user_tables where relname in ('endpoints', 'instances')")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_come_at_once_to_evolutions_sockets_are_looked_up_once() {
    const MANY: usize = 200;
    for is_global in [false, true] {
        let app = TestApp::start().await;
        let (sidecar, query) = if is_global {
            (global(&app).await, format!("/?token={ACCOUNT}"))
        } else {
            let key = key(&app, INSTANCE).await;
            (sidecar(&app).await, format!("/?token={key}"))
        };
        let _first = Request::to(&query).nobody().socket(&sidecar).await;
        let before = looks(&app).await;
        let coming = (0..MANY).map(|_| Request::to(&query).nobody().socket(&sidecar));
        let clients = futures_util::future::join_all(coming).await;
        let looks = looks(&app).await - before;
        // Beside what is looked at every two seconds for all of them together.
        assert!(looks < 100, "{looks} for {MANY}, global: {is_global}");
        drop(clients);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hears_nothing_is_listed_and_let_go_when_its_token_is_revoked() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    app.sql("insert into postrider.tokens (account_id, digest) select 1, sha256('soon-revoked')")
        .await;
    let sidecar = sidecar(&app).await;
    let form = json!({"query": {"apikey": "soon-revoked"}, "transports": ["websocket"]});
    let mut client = Client::connected(&node, &sidecar, "/", &form).await;
    listed(&app, 1).await;
    app.sql("update postrider.tokens set revoked_at = now() where digest = sha256('soon-revoked')")
        .await;
    let said = client.says().await;
    assert_eq!(said, json!({"disconnected": "io server disconnect"}));
    sidecar.connected(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_instances_cannot_be_listed_that_is_said_once_and_afterwards_new_ones_are_heard() {
    let app = TestApp::start().await;
    let mut process = app
        .worker()
        .set("api.account_token", format!("'{ACCOUNT}'"))
        .set("evolution.websocket_global_events", "true")
        .spawn_sidecar();
    process.ready().await;
    let address = process.address().unwrap();
    let request = Request::to(format!("/?token={ACCOUNT}")).nobody();
    let (mut client, head) = request.upgrade(address).await;
    assert_eq!(head.status, 101);
    let failures = "select xact_rollback from pg_stat_database where datname = current_database()";
    let before: i64 = app.value(failures).await;
    app.sql("alter table postrider.instances rename called to called_otherwise")
        .await;
    until("it has failed several times", PATIENCE, async || {
        app.value::<i64>(failures).await >= before + 3
    })
    .await;
    app.sql("alter table postrider.instances rename called_otherwise to called")
        .await;
    until("it is said that it works again", PATIENCE, async || {
        process.log().contains("listed for global sockets again")
    })
    .await;
    assert_eq!(process.log().matches("cannot be listed").count(), 1);
    app.instance("late").await;
    emit(&app, "late", "call", 1).await;
    assert_eq!(
        outline(&client.message().await),
        outlined("call", "late", 1)
    );
}
