//! Rows of which no event can be made.

use super::{Ground, run};
use serde_json::json;

/// Amounts divide, so a zero cannot be an event.
fn shares(on_error: &str) -> String {
    format!(
        "create table shares (id int, parts int, account text default 'shop');
         select postrider.capture('shares', type => 'share.made', instance => 'new.account', on_error => '{on_error}'
           , operations => '{{insert,update,delete}}', data => 'json_build_object(''id'', new.id, ''share'', 100 / new.parts)')"
    )
}

#[tokio::test]
async fn by_default_the_statement_fails_and_the_error_names_the_capture() {
    let mut ground = Ground::new(&shares("fail")).await;
    let refusal = ground
        .refused("insert into shares values (1, 2), (2, 0)")
        .await;
    assert_eq!(refusal.code, "22012");
    assert_eq!(
        refusal.message,
        "postrider: capture 'share.made' on public.shares failed: division by zero"
    );
    assert!(refusal.hint.contains("on_error => 'skip'"), "{refusal:?}");
    assert_eq!(ground.value("select count(*) from shares").await, "0");
    assert!(ground.events().await.is_empty());
}

#[tokio::test]
async fn an_unknown_instance_fails_the_statement_and_names_the_capture() {
    let mut ground = Ground::new(&shares("fail")).await;
    for (rows, reason) in [
        ("(1, 1, 'nobody')", "there is no instance 'nobody'"),
        (
            "(1, 1, 'shop'), (2, 1, 'nobody')",
            "there is no instance 'nobody'",
        ),
        ("(1, 1, null)", "the event names no instance"),
        (
            "(1, 1, null), (2, 2, 'shop')",
            "the event names no instance",
        ),
    ] {
        let refusal = ground
            .refused(&format!("insert into shares values {rows}"))
            .await;
        assert_eq!(
            refusal.message,
            format!("postrider: capture 'share.made' on public.shares failed: {reason}")
        );
    }
    assert!(ground.events().await.is_empty());
}

#[tokio::test]
async fn skip_records_the_failing_rows_and_emits_the_others() {
    let mut ground = Ground::new(&shares("skip")).await;
    ground
        .run("insert into shares values (1, 2, 'shop'), (2, 0, 'shop'), (3, 4, 'nobody'), (4, 4, null), (5, 5, 'shop')")
        .await;
    ground.run("insert into shares values (6, 0)").await;
    assert_eq!(
        ground.data().await,
        [json!({"id": 1, "share": 50}), json!({"id": 5, "share": 20})]
    );
    assert_eq!(ground.value("select count(*) from shares").await, "6");
    let failures = ground
        .value(
            r#"select string_agg(concat_ws(' ', capture, relation, operation, sqlstate, message, "row" ->> 'id'), E'\n' order by id) from postrider.capture_failures"#,
        )
        .await;
    assert_eq!(
        failures,
        "share.made shares insert 22012 division by zero 2\n\
         share.made shares insert P0002 there is no instance 'nobody' 3\n\
         share.made shares insert P0002 the event names no instance 4\n\
         share.made shares insert 22012 division by zero 6"
    );
}

#[tokio::test]
async fn skip_works_for_updates_deletes_and_partitions_alike() {
    let mut ground = Ground::new(
        "create table plain (id int, n int); create table parts (id int, n int) partition by list (id);
         create table parts_1 partition of parts default;
         insert into plain values (1, 1), (2, 2); insert into parts values (1, 1), (2, 2);
         select postrider.capture(t, type => t || '.changed', instance => '''shop''', operations => '{update,delete}', on_error => 'skip'
           , data => 'to_json(1 / (case operation when ''delete'' then old else new end).n)') from unnest(array['plain', 'parts']) t",
    )
    .await;
    for table in ["plain", "parts"] {
        ground
            .run(&format!(
                "update {table} set n = n - 1; delete from {table}"
            ))
            .await;
    }
    assert_eq!(ground.data().await, [1, 1, 1, 1]);
    let failures = ground
        .value(r#"select string_agg(concat_ws(' ', relation, operation, "row" ->> 'n'), ',' order by id) from postrider.capture_failures"#)
        .await;
    assert_eq!(
        failures,
        "plain update 0,plain delete 0,parts_1 update 0,parts_1 delete 0"
    );
}

#[tokio::test]
async fn skip_does_not_swallow_what_is_not_the_rows_fault() {
    let mut ground = Ground::new(
        "create function conflict() returns text language plpgsql as $$
         begin raise exception using errcode = 'serialization_failure'; end $$;
         create table orders (id int);
         select postrider.capture('orders', type => 'order.made', instance => 'public.conflict()', on_error => 'skip')",
    )
    .await;
    let refusal = ground.refused("insert into orders values (1)").await;
    assert_eq!(refusal.code, "40001");
}

#[tokio::test]
async fn a_skipping_capture_takes_no_transaction_id_for_each_row() {
    let mut ground = Ground::new(&shares("skip")).await;
    let xid = "select pg_snapshot_xmax(pg_current_snapshot())::text";
    let before: u64 = ground.value(xid).await.parse().unwrap();
    ground
        .run("insert into shares select g, g % 2 from generate_series(1, 200) g")
        .await;
    let after: u64 = ground.value(xid).await.parse().unwrap();
    // Others in this server take some too, but this one takes one; a subtransaction that writes would take one a row.
    assert!(after - before < 100, "{} transaction ids", after - before);
}

#[tokio::test]
async fn a_table_without_the_function_it_needs_fails_with_the_name_of_the_capture() {
    let mut ground = Ground::new(&shares("fail")).await;
    ground
        .run("alter table shares drop column parts cascade")
        .await;
    let refusal = ground.refused("insert into shares values (1)").await;
    assert!(
        refusal
            .message
            .starts_with("postrider: capture 'share.made' on public.shares failed"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn failures_are_shown_to_those_who_may_read_the_table() {
    let mut ground = Ground::new(&shares("skip")).await;
    let role = ground
        .value("select 'stranger_' || oid from pg_database where datname = current_database()")
        .await;
    ground
        .run(&format!(
            "create role {role}; select postrider.allow('{role}', 'capture'); insert into shares values (1, 0)"
        ))
        .await;
    let mut stranger = ground.session_of(&role).await;
    let count = "select count(*) from postrider.capture_failures";
    assert_eq!(super::value(&mut stranger, count).await, "0");
    ground
        .run(&format!("grant select on shares to {role}"))
        .await;
    assert_eq!(super::value(&mut stranger, count).await, "1");
    assert!(
        run(&mut stranger, "select * from postrider.capture_failure_log")
            .await
            .is_err()
    );
}
