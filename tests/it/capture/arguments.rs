//! What capture refuses, and how it says so.

use super::Ground;

/// A table, and things that are none.
const THINGS: &str = "
    create table orders (id int, account text, body text);
    create view looks as select * from orders;
    create materialized view matter as select * from orders;
    create sequence numbers;
    create temporary table fleeting (id int);";

/// What each bad call must say, and somewhere in its remedy.
const BAD: [(&str, &str, &str); 22] = [
    (
        "'nowhere', type => 't', instance => '''shop'''",
        "relation: there is no table nowhere",
        "schema",
    ),
    (
        "null::text, type => 't', instance => '''shop'''",
        "relation: there is no table null",
        "schema",
    ),
    (
        "'looks', type => 't', instance => '''shop'''",
        "relation: public.looks is a view",
        "reads from",
    ),
    (
        "'matter', type => 't', instance => '''shop'''",
        "relation: public.matter is a view",
        "reads from",
    ),
    (
        "'numbers', type => 't', instance => '''shop'''",
        "relation: public.numbers is not a table",
        "partitioned",
    ),
    (
        "'fleeting', type => 't', instance => '''shop'''",
        "is a temporary table",
        "postrider.emit",
    ),
    (
        "'pg_class', type => 't', instance => '''shop'''",
        "relation: pg_class is a system table",
        "no triggers",
    ),
    (
        "'postrider.events', type => 't', instance => '''shop'''",
        "is Postrider's own",
        "make events",
    ),
    (
        "'orders', type => 'not a type', instance => '''shop'''",
        "event type 'not a type'",
        "order.paid",
    ),
    (
        "'orders', type => null, instance => '''shop'''",
        "event type",
        "order.paid",
    ),
    (
        "'orders', type => 't', instance => null",
        "instance: it is null",
        "new.account",
    ),
    (
        "'orders', type => 't', instance => 'shop'",
        "instance: shop does not compile: column \"shop\" does not exist",
        "quotes of its own",
    ),
    (
        "'orders', type => 't', instance => 'new.acount'",
        "instance: new.acount does not compile: public.orders has no such column",
        "new.name",
    ),
    (
        "'orders', type => 't', instance => 'new.account; drop table orders'",
        "instance: is not an SQL expression",
        "semicolon",
    ),
    (
        "'orders', type => 't', instance => 'new.account) union (select 1'",
        "instance: new.account) union (select 1 does not compile",
        "",
    ),
    (
        "'orders', type => 't', instance => '''shop''', operations => '{insert,upsert}'",
        "operations: there is no operation upsert",
        "lower case",
    ),
    (
        "'orders', type => 't', instance => '''shop''', operations => '{truncate}'",
        "operations: there is no operation truncate",
        "not captured",
    ),
    (
        "'orders', type => 't', instance => '''shop''', operations => '{}'",
        "operations: there are none",
        "insert",
    ),
    (
        "'orders', type => 't', instance => '''shop''', data => 'new.body'",
        "data: new.body is not json",
        "::json",
    ),
    (
        "'orders', type => 't', instance => '''shop''', when_ => 'new.id'",
        "when_: (new.id",
        "expression",
    ),
    (
        "'orders', type => 't', instance => '''shop''', columns => '{id,nope}'",
        "columns: public.orders has no column 'nope'",
        "without quotes",
    ),
    (
        "'orders', type => 't', instance => '''shop''', on_error => 'ignore'",
        "on_error: 'ignore' is neither",
        "capture_failures",
    ),
];

#[tokio::test]
async fn bad_arguments_are_named_with_a_remedy_and_leave_nothing_behind() {
    let mut ground = Ground::new(THINGS).await;
    for (arguments, message, remedy) in BAD {
        let refusal = ground
            .refused(&format!("select postrider.capture({arguments})"))
            .await;
        assert!(
            refusal.message.contains(message),
            "{arguments}: {refusal:?}"
        );
        assert!(refusal.hint.contains(remedy), "{arguments}: {refusal:?}");
        let left = ground
            .value(
                "select (select count(*) from pg_proc where pronamespace in (select oid from pg_namespace where nspname like 'postrider_captures_%'))
                      + (select count(*) from pg_trigger where tgrelid = 'orders'::regclass)",
            )
            .await;
        assert_eq!(left, "0", "{arguments}");
    }
}

#[tokio::test]
async fn a_foreign_table_is_refused() {
    let mut ground = Ground::new(
        "create foreign data wrapper nothing; create server away foreign data wrapper nothing;
         create foreign table abroad (id int) server away",
    )
    .await;
    let refusal = ground
        .refused("select postrider.capture('abroad', type => 't', instance => '''shop''')")
        .await;
    assert!(
        refusal.message.contains("is a foreign table"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn quotes_comments_and_dollars_in_an_expression_are_no_statements() {
    let mut ground = Ground::new(
        "create table orders (id int, account text);
         select postrider.capture('orders', type => 'order.made', instance => 'new.account -- whose; it is'
           , data => 'json_build_object(''a;b'', $x$;$x$, ''c'', new.id /* ; */)')",
    )
    .await;
    ground.run("insert into orders values (1, 'shop')").await;
    assert_eq!(
        ground.data().await,
        [serde_json::json!({"a;b": ";", "c": 1})]
    );
}
