//! How a capture is attached, replaced and removed while the table is in use.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{Ground, run, value};

/// A table of orders.
const ORDERS: &str = "create table orders (id int, account text default 'shop');";

/// Attaches to it.
const CAPTURE: &str =
    "select postrider.capture('orders', type => 'order.made', instance => 'new.account')";

#[tokio::test]
async fn a_writer_does_not_queue_behind_a_capture_that_waits() {
    let mut ground = Ground::new(ORDERS).await;
    let mut busy = ground.database.connection().await;
    run(&mut busy, "begin; insert into orders values (1)")
        .await
        .unwrap();
    let mut attaching = ground.database.connection().await;
    let attach = TaskTracker::new().spawn(async move {
        let result = run(&mut attaching, CAPTURE).await;
        (attaching, result)
    });
    // Wait until it asks for the lock, and then write for a while.
    let waits = "select count(*) from pg_locks where relation = 'orders'::regclass and not granted";
    while ground.value(waits).await == "0" {
        tokio::task::yield_now().await;
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..300 {
        let start = Instant::now();
        ground.run("insert into orders values (2)").await;
        slowest = slowest.max(start.elapsed());
    }
    assert!(!attach.is_finished());
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    run(&mut busy, "commit").await.unwrap();
    let (_attaching, result) = attach.await.unwrap();
    result.unwrap();
    ground.run("insert into orders values (3)").await;
    assert_eq!(ground.events().await.len(), 1);
}

#[tokio::test]
async fn a_table_that_stays_in_use_ends_in_a_clear_error_and_leaves_nothing() {
    let mut ground = Ground::new(ORDERS).await;
    let mut busy = ground.database.connection().await;
    run(&mut busy, "begin; insert into orders values (1)")
        .await
        .unwrap();
    let refusal = ground.refused(CAPTURE).await;
    assert_eq!(refusal.code, "55P03");
    assert!(refusal.hint.contains("long transaction"), "{refusal:?}");
    run(&mut busy, "commit").await.unwrap();
    assert_eq!(
        ground
            .value("select count(*) from postrider.captures")
            .await,
        "0"
    );
}

#[tokio::test]
async fn a_second_call_replaces_the_first_at_once_without_locking_out_readers() {
    let mut ground = Ground::new(ORDERS).await;
    ground.run(CAPTURE).await;
    let mut reader = ground.database.connection().await;
    run(&mut reader, "begin; select * from orders")
        .await
        .unwrap();
    ground
        .run("begin; select postrider.capture('orders', type => 'order.made', instance => 'new.account', data => 'json_build_object(''v'', 2)')")
        .await;
    let kept = value(&mut reader, "select count(*) from orders").await;
    assert_eq!(kept, "0");
    ground.run("commit; insert into orders values (1)").await;
    assert_eq!(ground.data().await, [json!({"v": 2})]);
    let functions = ground
        .value("select count(*) from pg_proc where pronamespace in (select oid from pg_namespace where nspname like 'postrider_captures_%')")
        .await;
    assert_eq!(functions, "4");
}

#[tokio::test]
async fn a_replacement_that_does_not_compile_leaves_the_first_in_place() {
    let mut ground = Ground::new(ORDERS).await;
    ground.run(CAPTURE).await;
    ground
        .refused("select postrider.capture('orders', type => 'order.made', instance => 'new.nope')")
        .await;
    ground.run("insert into orders values (1)").await;
    assert_eq!(ground.events().await.len(), 1);
}

#[tokio::test]
async fn a_replacement_may_change_operations_and_level() {
    let mut ground = Ground::new(ORDERS).await;
    for (arguments, expected) in [
        (
            "operations => '{insert,update,delete}'",
            "{delete,insert,update} statement",
        ),
        (
            "operations => '{delete}', replicated => true",
            "{delete} row",
        ),
        (
            "operations => '{insert,update}'",
            "{insert,update} statement",
        ),
    ] {
        ground
            .run(&format!("select postrider.capture('orders', type => 'order.made', instance => '''shop''', {arguments})"))
            .await;
        let shown = ground
            .value("select operations::text || ' ' || level from postrider.captures")
            .await;
        assert_eq!(shown, expected);
    }
    ground
        .run("insert into orders values (1); update orders set id = 2; delete from orders")
        .await;
    assert_eq!(ground.events().await.len(), 2);
}

#[tokio::test]
async fn a_table_can_have_several_captures_and_each_is_removed_by_its_name() {
    let mut ground = Ground::new(ORDERS).await;
    ground
        .run(
            "select postrider.capture('orders', type => 'order.made', instance => 'new.account');
             select postrider.capture('orders'::regclass, type => 'order.made', instance => '''bank''', name => 'copy for the bank')",
        )
        .await;
    ground.run("insert into orders values (1)").await;
    assert_eq!(ground.events().await.len(), 2);
    assert_eq!(
        ground
            .value("select postrider.uncapture('orders', 'copy for the bank')")
            .await,
        "1"
    );
    ground.run("insert into orders values (2)").await;
    assert_eq!(ground.events().await.len(), 3);
    assert_eq!(
        ground.value("select postrider.uncapture('orders')").await,
        "1"
    );
    assert_eq!(
        ground.value("select postrider.uncapture('orders')").await,
        "0"
    );
    ground.run("insert into orders values (3)").await;
    assert_eq!(ground.events().await.len(), 3);
}

#[tokio::test]
async fn the_view_shows_what_is_attached() {
    let mut ground = Ground::new(ORDERS).await;
    ground
        .run("select postrider.capture('orders', type => 'order.made', instance => 'new.account', when_ => 'new.id > 1', columns => '{id}', on_error => 'skip', idempotency_key => 'new.id::text')")
        .await;
    let shown = ground
        .value("select to_jsonb(c) - 'runs_as' from postrider.captures c")
        .await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["relation"], "orders");
    assert_eq!(shown["name"], "order.made");
    assert_eq!(shown["columns"], json!(["id"]));
    assert_eq!(shown["on_error"], "skip");
    assert_eq!(shown["enabled"], true);
    assert_eq!(shown["idempotency_key"], "((new).id)::text");
    ground.run("alter table orders disable trigger user").await;
    assert_eq!(
        ground.value("select enabled from postrider.captures").await,
        "false"
    );
}
