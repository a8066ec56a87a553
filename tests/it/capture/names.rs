//! Names that need quotes, and names that change.

use serde_json::json;

use super::Ground;

#[tokio::test]
async fn names_may_be_mixed_case_with_spaces_quotes_and_reserved_words() {
    let mut ground = Ground::new(
        r#"create schema "My ""Schema"" 'x'";
           create table "My ""Schema"" 'x'"."Select % $$ $1"
             ("new" int, "old" int, type text, data text, "operation" text, "it's ""so"" %s" text, "user" text, x text, event text, instance text);
           select postrider.capture('"My ""Schema"" ''x''"."Select % $$ $1"', type => 'odd.names', name => 'It''s "odd" %L $$', instance => 'new.type'
             , operations => '{insert,update,delete}'
             , data => 'json_build_object(''is'', to_json(new), ''was'', old."it''s ""so"" %s")', when_ => 'operation <> ''delete'' and new.new is distinct from old.old')"#,
    )
    .await;
    ground
        .run(r#"insert into "My ""Schema"" 'x'"."Select % $$ $1" values (1, 2, 'shop', 'd', 'o', 'q', 'u', 'x', 'e', 'i')"#)
        .await;
    ground
        .run(r#"update "My ""Schema"" 'x'"."Select % $$ $1" set data = 'd2'"#)
        .await;
    let row = json!({"new": 1, "old": 2, "type": "shop", "data": "d", "operation": "o", "it's \"so\" %s": "q", "user": "u", "x": "x", "event": "e", "instance": "i"});
    let mut changed = row.clone();
    changed["data"] = json!("d2");
    assert_eq!(
        ground.data().await,
        [
            json!({"is": row, "was": null}),
            json!({"is": changed, "was": "q"})
        ]
    );
    let named = ground.value("select name from postrider.captures").await;
    assert_eq!(named, r#"It's "odd" %L $$"#);
    ground
        .run(r#"select postrider.uncapture('"My ""Schema"" ''x''"."Select % $$ $1"', 'It''s "odd" %L $$')"#)
        .await;
    assert_eq!(
        ground
            .value("select count(*) from postrider.captures")
            .await,
        "0"
    );
}

#[tokio::test]
async fn captures_of_one_table_are_told_apart_whatever_they_are_called() {
    let mut ground = Ground::new(
        "create table sales (id int, region text) partition by list (region);
         create table sales_eu partition of sales for values in ('eu');
         create table sales_us partition of sales for values in ('us');
         select postrider.capture('sales', name => name, type => name, instance => '''shop''', operations => '{update}', data => 'json_build_object(''id'', new.id)')
         from unnest('{x,x_before,x_after}'::text[]) as name",
    )
    .await;
    ground
        .run("insert into sales values (1, 'eu'); update sales set region = 'us'")
        .await;
    let types = "select string_agg(type, ' ' order by type) from postrider.events";
    assert_eq!(ground.value(types).await, "x x_after x_before");
}

#[tokio::test]
async fn expressions_follow_renamed_columns_and_tables() {
    let mut ground = Ground::new(
        "create table orders (id int, unused int, account text);
         alter table orders drop column unused;
         select postrider.capture('orders', type => 'order.made', instance => 'new.account')",
    )
    .await;
    ground.run("insert into orders values (1, 'shop')").await;
    ground
        .run(
            "create schema elsewhere; alter table orders rename account to customer;
             alter table orders rename to purchases; alter table purchases set schema elsewhere;
             alter table elsewhere.purchases add extra int default 7",
        )
        .await;
    ground
        .run("insert into elsewhere.purchases values (2, 'bank')")
        .await;
    let events = ground.events().await;
    assert_eq!(events[1].0, "bank");
    assert_eq!(
        events[1].2,
        json!({"id": 2, "customer": "bank", "extra": 7})
    );
    assert_eq!(
        ground
            .value("select relation || ' ' || instance from postrider.captures")
            .await,
        "elsewhere.purchases (new).customer"
    );
}

#[tokio::test]
async fn a_used_column_cannot_be_dropped_unnoticed() {
    let mut ground = Ground::new(
        "create table orders (id int, account text, note text);
         select postrider.capture('orders', type => 'order.made', instance => 'new.account')",
    )
    .await;
    let refusal = ground
        .refused("alter table orders drop column account")
        .await;
    assert_eq!(refusal.code, "2BP01");
    ground.run("alter table orders drop column note").await;
    ground
        .run("select postrider.uncapture('orders'); alter table orders drop column account; drop table orders")
        .await;
}

#[tokio::test]
async fn a_captured_table_dropped_with_cascade_leaves_no_trace_in_the_view() {
    let mut ground = Ground::new(
        "create table orders (account text);
         select postrider.capture('orders', type => 'order.made', instance => 'new.account');
         drop table orders cascade",
    )
    .await;
    assert_eq!(
        ground
            .value("select count(*) from postrider.captures")
            .await,
        "0"
    );
}
