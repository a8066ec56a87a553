//! The primary is lost, and its standby takes over.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection};

use crate::support::app::TestApp;
use crate::support::oracle::deliveries;
use crate::support::postgres::{OwnCluster, TestDatabase};
use crate::support::proxy::Proxy;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::Process;

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
    let workers = app
        .worker()
        .set("worker.timeout_ms", 1000)
        .set("worker.lease_s", 5)
        .spawn_two()
        .await;
    let mut events = app.emit_many(400).await;
    endpoint.receiver.wait_for(100).await;

    proxy.cut();
    primary.kill_immediately().await;
    let refused = || workers.each_ref().map(Process::database_errors);
    let before = refused();
    let address = standby.cluster().connect_options();
    proxy.lead_to(address.clone());
    proxy.mend();
    // Not promoted yet, it takes no writes.
    until("both are refused for a while", PATIENCE, async || {
        let now = refused();
        now.iter()
            .zip(before)
            .all(|(now, before)| *now >= before + 3.0)
    })
    .await;
    let mut connection = address.connect().await.unwrap();
    // Claims and outcomes are not flushed one by one: those of the last moment are lost with the primary.
    let unwritten = deliveries(&mut connection, "status = 'pending'").await;
    sqlx::raw_sql("select pg_promote()")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();

    events.extend(app.emit_many(50).await);
    app.oracle()
        .healthy(&endpoint, &events)
        .may_come_again(&unwritten)
        .judge(workers)
        .await;
}
