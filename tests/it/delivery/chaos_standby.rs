//! The primary is lost, and its standby takes over.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection};

use crate::support::app::TestApp;
use crate::support::postgres::{OwnCluster, TestDatabase};
use crate::support::proxy::Proxy;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_goes_on_where_the_primary_was_lost() {
    let mut primary = OwnCluster::start().await;
    primary.database().await;
    let standby = primary.with_standby().await;
    // As a name that follows the primary does, or a balancer that knows it.
    let proxy = Proxy::before(primary.cluster().connect_options()).await;
    let app = TestApp::over(&TestDatabase::at(proxy.options())).await;
    until("the standby follows", PATIENCE, async || {
        app.value::<bool>(
            "select exists (select from pg_stat_replication where state = 'streaming')",
        )
        .await
    })
    .await;
    // What is committed is on both, or a failover may lose it, whoever delivers.
    app.sql("alter system set synchronous_standby_names = '*'")
        .await;
    app.sql("select pg_reload_conf()").await;
    let endpoint = app
        .endpoint("shop")
        .answering(Answer::ok().after(Duration::from_millis(20)))
        .create()
        .await;
    let worker = app
        .worker()
        .set("worker.timeout_ms", 1000)
        .set("worker.lease_s", 2)
        .start()
        .await;
    let mut events = app.emit_many(400).await;
    endpoint.receiver.wait_for(100).await;

    proxy.cut();
    primary.kill_immediately().await;
    let errors = worker.metric("postrider_database_errors_total");
    let address = standby.cluster().connect_options();
    proxy.lead_to(address.clone());
    proxy.mend();
    // Not promoted yet, it takes no writes.
    until("it is refused for a while", PATIENCE, async || {
        worker.metric("postrider_database_errors_total") >= errors + 3.0
    })
    .await;
    let mut connection = address.connect().await.unwrap();
    sqlx::raw_sql("select pg_promote()")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    events.extend(app.emit_many(50).await);
    app.drained().await;
    let twice = app.assert_seen(&endpoint, &events);
    println!("{} events, {twice} delivered twice", events.len());
    assert_eq!(app.count("failed").await, 0);
    app.finish([worker]).await;
}
