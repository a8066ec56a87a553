//! What logical replication applies.

use std::time::Duration;

use tokio::time::Instant;

use super::Ground;

/// Captured twice: as usual, and for what is replicated.
const CAPTURED: &str = "
    create table orders (id int primary key, account text default 'shop');
    create table parts (id int primary key) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (100);
    select postrider.capture('orders', type => 'order.local', instance => 'new.account');
    select postrider.capture('orders', type => 'order.any', instance => 'new.account', replicated => true);
    select postrider.capture('parts', type => 'part.any', instance => '''shop''', replicated => true);
    create table parts_2 partition of parts for values from (100) to (200);";

#[tokio::test]
async fn a_replica_session_fires_only_what_is_captured_as_replicated() {
    let mut ground = Ground::new(CAPTURED).await;
    ground
        .run("set session_replication_role = replica; insert into orders values (1); insert into parts values (1), (101); insert into parts_2 values (102)")
        .await;
    let types: Vec<_> = ground
        .events()
        .await
        .into_iter()
        .map(|event| event.1)
        .collect();
    assert_eq!(types, ["order.any", "part.any", "part.any", "part.any"]);
}

#[tokio::test]
async fn rows_applied_by_a_subscription_are_captured() {
    let mut source = Ground::new(
        "create table orders (id int primary key, account text default 'shop');
         create publication everything for all tables",
    )
    .await;
    if source.value("current_setting('wal_level')").await != "logical" {
        crate::support::skip::skipped("wal_level of this server is not logical");
        return;
    }
    let mut target = Ground::new(CAPTURED).await;
    let slot = source
        .value("select 'slot_' || oid from pg_database where datname = current_database()")
        .await;
    source
        .run(&format!(
            "select pg_create_logical_replication_slot('{slot}', 'pgoutput')"
        ))
        .await;
    // What follows the question mark is for sqlx alone.
    let url = source.database.url();
    let url = url.split('?').next().unwrap_or_default();
    target
        .run(&format!("create subscription s connection '{url}' publication everything with (create_slot = false, slot_name = '{slot}', copy_data = false)"))
        .await;
    source
        .run("insert into orders values (7); insert into orders values (8)")
        .await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while target.events().await.len() < 2 {
        assert!(Instant::now() < deadline, "nothing was applied");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let types: Vec<_> = target
        .events()
        .await
        .into_iter()
        .map(|event| event.1)
        .collect();
    assert_eq!(types, ["order.any", "order.any"]);
    target
        .run("alter subscription s disable; alter subscription s set (slot_name = none); drop subscription s")
        .await;
    source
        .run(&format!("select pg_drop_replication_slot('{slot}')"))
        .await;
}
