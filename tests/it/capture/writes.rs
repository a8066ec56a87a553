//! Every way to write a row, and what is made of it.

use serde_json::json;

use super::Ground;

/// A table with a key that may be swapped within a statement, captured for everything.
const MESSAGES: &str = "
    create table messages (id int primary key deferrable, account text default 'shop', body text, at timestamptz);
    select postrider.capture('messages', type => 'message.seen', instance => '(case operation when ''delete'' then old else new end).account'
      , data => 'json_build_object(''op'', operation, ''old'', old.id, ''new'', new.id, ''was'', old.body, ''is'', new.body)'
      , operations => '{insert,update,delete}');";

#[tokio::test]
async fn an_inserted_row_is_an_event_with_the_whole_row() {
    let mut ground = Ground::new(
        "create table messages (id int, account text, body text);
         select postrider.capture('public.messages', type => 'message.exchange', instance => 'new.account')",
    )
    .await;
    ground
        .run("insert into messages values (1, 'bank', 'hi')")
        .await;
    assert_eq!(
        ground.events().await,
        [(
            "bank".to_owned(),
            "message.exchange".to_owned(),
            json!({"id": 1, "account": "bank", "body": "hi"})
        )]
    );
}

#[tokio::test]
async fn a_deleted_row_is_an_event_with_the_row_as_it_was() {
    let mut ground = Ground::new(
        "create table messages (id int, account text);
         insert into messages values (1, 'shop'), (2, 'bank');
         select postrider.capture('messages', type => 'message.gone', instance => 'old.account', operations => '{delete}')",
    )
    .await;
    ground.run("delete from messages").await;
    assert_eq!(
        ground.data().await,
        [
            json!({"id": 1, "account": "shop"}),
            json!({"id": 2, "account": "bank"})
        ]
    );
}

#[tokio::test]
async fn old_and_new_rows_are_paired_where_keys_are_swapped() {
    let mut ground = Ground::new(MESSAGES).await;
    ground
        .run("insert into messages (id, body) values (1, 'one'), (2, 'two'), (3, 'three')")
        .await;
    ground.run("truncate postrider.events").await;
    ground
        .run("update messages set id = case id when 1 then 2 when 2 then 1 else id end")
        .await;
    let mut seen = ground.data().await;
    seen.sort_by_key(|event| event["old"].as_i64());
    assert_eq!(
        seen,
        [
            json!({"op": "update", "old": 1, "new": 2, "was": "one", "is": "one"}),
            json!({"op": "update", "old": 2, "new": 1, "was": "two", "is": "two"}),
            json!({"op": "update", "old": 3, "new": 3, "was": "three", "is": "three"}),
        ]
    );
}

#[tokio::test]
async fn a_plan_made_for_one_row_also_pairs_a_hundred_thousand() {
    let mut ground = Ground::new(
        "create table numbers (n int, m int);
         insert into numbers select g, g from generate_series(1, 100000) g;
         select postrider.capture('numbers', type => 'number.wrong', instance => '''shop''', operations => '{update}', when_ => 'new.m is distinct from -old.m')",
    )
    .await;
    ground.run("update numbers set m = -m where n = 1").await;
    // A nested loop over both transition tables would take hours.
    ground
        .run("set statement_timeout = '60s'; update numbers set m = -m; reset statement_timeout")
        .await;
    assert!(ground.events().await.is_empty());
}

#[tokio::test]
async fn a_bulk_statement_emits_once() {
    let mut ground = Ground::new(MESSAGES).await;
    ground
        .run(
            "select postrider.set_endpoint('shop', 'http://localhost/x');
             set track_functions = 'all';
             insert into messages (id) select generate_series(1, 1000)",
        )
        .await;
    // PostgreSQL 14 has no such function; there a session reports by itself when half a second has passed.
    ground.run("do $$ begin perform pg_stat_force_next_flush(); exception when undefined_function then perform pg_sleep(1); end $$").await;
    ground.reconnect().await;
    let calls = ground
        .value("select calls from pg_stat_user_functions where schemaname = 'postrider' and funcname = 'emit_rows'")
        .await;
    assert_eq!(calls, "1");
    let deliveries = ground
        .value("select count(*) from postrider.webhook_queue")
        .await;
    assert_eq!(deliveries, "1000");
}

#[tokio::test]
async fn copy_is_captured() {
    let mut ground = Ground::new(MESSAGES).await;
    let mut copy = ground
        .connection
        .copy_in_raw("copy messages (id, body) from stdin")
        .await
        .unwrap();
    copy.send(&b"1\tone\n2\ttwo\n"[..]).await.unwrap();
    copy.finish().await.unwrap();
    let ids: Vec<_> = ground
        .data()
        .await
        .into_iter()
        .map(|event| event["new"].clone())
        .collect();
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn an_upsert_is_an_insert_or_an_update() {
    let mut ground = Ground::new(
        "create table stock (id int primary key, n int);
         insert into stock values (1, 1);
         select postrider.capture('stock', type => 'stock.changed', instance => '''shop''', operations => '{insert,update}'
           , data => 'json_build_array(operation, old.n, new.n)')",
    )
    .await;
    ground
        .run(
            "insert into stock values (1, 10), (2, 20) on conflict (id) do update set n = excluded.n",
        )
        .await;
    ground
        .run("insert into stock values (1, 11) on conflict do nothing")
        .await;
    let mut seen = ground.data().await;
    seen.sort_by_key(|event| event[2].as_i64());
    assert_eq!(
        seen,
        [json!(["update", 1, 10]), json!(["insert", null, 20])]
    );
}

#[tokio::test]
async fn merge_is_captured() {
    let mut ground = Ground::new(
        "create table stock (id int primary key, n int);
         insert into stock values (1, 1), (2, 2);
         select postrider.capture('stock', type => 'stock.changed', instance => '''shop''', operations => '{insert,update,delete}'
           , data => 'json_build_array(operation, old.n, new.n)')",
    )
    .await;
    let version: i32 = ground
        .value("current_setting('server_version_num')")
        .await
        .parse()
        .unwrap();
    if version < 150_000 {
        return; // there is no MERGE to capture
    }
    ground
        .run(
            "merge into stock using (values (1, 10), (2, 0), (3, 30)) given (id, n) on stock.id = given.id
             when matched and given.n = 0 then delete
             when matched then update set n = given.n
             when not matched then insert values (given.id, given.n)",
        )
        .await;
    let mut seen: Vec<_> = ground
        .data()
        .await
        .into_iter()
        .map(|event| event.to_string())
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            r#"["delete",2,null]"#,
            r#"["insert",null,30]"#,
            r#"["update",1,10]"#
        ]
    );
}

#[tokio::test]
async fn when_decides_over_old_and_new() {
    let mut ground = Ground::new(
        "create table orders (id int, status text);
         insert into orders values (1, 'open'), (2, 'open'), (3, 'paid'), (4, null);
         select postrider.capture('orders', type => 'order.paid', instance => '''shop''', operations => '{update}'
           , when_ => 'old.status = ''open'' and new.status = ''paid''')",
    )
    .await;
    ground
        .run("update orders set status = 'paid' where id <> 2")
        .await;
    assert_eq!(ground.data().await, [json!({"id": 1, "status": "paid"})]);
}

#[tokio::test]
async fn expressions_only_see_old_and_new_rows_that_belong_together() {
    // Of the pairs that do not, one fulfils the condition, and data fails for all: what looks for a single row meets them.
    let mut ground = Ground::new(
        "create table steps (id int, step int);
         insert into steps values (1, 1), (2, 2), (3, 7);
         select postrider.capture('steps', type => 'step.stood', instance => '''shop''', operations => '{update}'
           , when_ => 'old.step = new.step', name => 'stood');
         select postrider.capture('steps', type => 'step.taken', instance => '''shop''', operations => '{update}'
           , data => 'to_json(1 / (old.id = new.id)::int)', name => 'taken');",
    )
    .await;
    ground
        .run("update steps set step = step + 1 where id <= 2")
        .await;
    assert_eq!(ground.data().await, [json!(1), json!(1)]);
}

#[tokio::test]
async fn statements_of_no_row_of_one_and_of_many_are_captured_alike() {
    let mut ground = Ground::new(
        "create table orders (id int, status text);
         select postrider.capture('orders', type => 'order.seen', instance => '''shop''', operations => '{insert,update,delete}'
           , when_ => 'coalesce(new.status, old.status) <> ''quiet'''
           , data => 'json_build_object(''operation'', operation, ''id'', coalesce(new.id, old.id), ''per'', 6 / coalesce(new.id, old.id))')",
    )
    .await;
    for ids in [&[1][..], &[2, 3], &[]] {
        ground.run("truncate postrider.events").await;
        // What the condition leaves out is what no data could be made of.
        ground
            .run(&format!(
                "insert into orders select unnest('{{{ids}}}'::int[]), 'open';
                 insert into orders values (0, 'quiet');
                 update orders set status = 'paid' where id > 0;
                 update orders set status = 'quiet' where id = 0;
                 delete from orders where id > 0;
                 delete from orders where id = 0;
                 delete from orders",
                ids = ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
            ))
            .await;
        let expected: Vec<_> = ["insert", "update", "delete"]
            .into_iter()
            .flat_map(|operation| {
                ids.iter()
                    .map(move |id| json!({"operation": operation, "id": id, "per": 6 / id}))
            })
            .collect();
        assert_eq!(ground.data().await, expected, "{ids:?}");
    }
}

#[tokio::test]
async fn an_event_of_megabytes_is_captured_as_any_other_and_made_once() {
    let mut ground = Ground::new(
        "create table files (body text);
         create sequence made;
         select postrider.capture('files', type => 'file.stored', instance => $$'shop'$$
           , data => $$json_build_object('number', nextval('public.made'), 'body', new.body)$$)",
    )
    .await;
    ground
        .run("insert into files values (repeat('x', 2097152))")
        .await;
    let data = ground.data().await;
    assert_eq!(data.len(), 1);
    assert_eq!(data[0]["number"], 1);
    assert_eq!(data[0]["body"].as_str().map(str::len), Some(2_097_152));
}

#[tokio::test]
async fn columns_limit_the_data_and_the_updates() {
    let mut ground = Ground::new(
        r#"create table orders (id int, status text, "Very Noisy" json, secret text);
           select postrider.capture('orders', type => 'order.changed', instance => '''shop''', operations => '{insert,update,delete}'
             , columns => '{id,status,"Very Noisy"}')"#,
    )
    .await;
    ground
        .run("insert into orders values (1, 'open', '[1]', 's3cret')")
        .await;
    ground.run("update orders set secret = 'other'").await;
    ground
        .run(r#"update orders set "Very Noisy" = '[1]'"#)
        .await;
    ground
        .run(r#"update orders set "Very Noisy" = '[2]'"#)
        .await;
    ground.run("delete from orders").await;
    assert_eq!(
        ground.data().await,
        [
            json!({"id": 1, "status": "open", "Very Noisy": [1]}),
            json!({"id": 1, "status": "open", "Very Noisy": [2]}),
            json!({"id": 1, "status": "open", "Very Noisy": [2]}),
        ]
    );
}

#[tokio::test]
async fn what_rolls_back_never_was() {
    let mut ground = Ground::new(MESSAGES).await;
    ground
        .run(
            "begin; insert into messages (id) values (1);
             savepoint s; insert into messages (id) values (2); rollback to s; commit;
             begin; insert into messages (id) values (3); rollback",
        )
        .await;
    let ids: Vec<_> = ground
        .data()
        .await
        .into_iter()
        .map(|event| event["new"].clone())
        .collect();
    assert_eq!(ids, [1]);
}

#[tokio::test]
async fn data_may_be_json_jsonb_or_a_row_and_json_stays_as_it_is() {
    let mut ground = Ground::new(
        "create table given (j json, b jsonb, t text);
         select postrider.capture('given', name => 'a', type => 'given.json', instance => '''shop''', data => 'new.j');
         select postrider.capture('given', name => 'b', type => 'given.jsonb', instance => '''shop''', data => 'new.b');
         select postrider.capture('given', name => 'c', type => 'given.row', instance => '''shop''', data => 'new');
         select postrider.capture('given', name => 'd', type => 'given.cast', instance => '''shop''', data => 'new.t::json')",
    )
    .await;
    ground
        .run(r#"insert into given values ('{ "a":1,  "a":2 }', '{"b" : 1}', '[ 3]')"#)
        .await;
    let stored = ground
        .value("select string_agg(data::text, '|' order by type) from postrider.events")
        .await;
    assert!(
        stored.contains("[ 3]|{ \"a\":1,  \"a\":2 }|{\"b\": 1}|{\"j\":"),
        "{stored}"
    );
}

#[tokio::test]
async fn an_idempotency_key_is_an_expression_too() {
    let mut ground = Ground::new(
        "create table orders (id int, status text);
         select postrider.capture('orders', type => 'order.changed', instance => '''shop''', operations => '{insert,update}'
           , idempotency_key => '''order-'' || new.id || new.status')",
    )
    .await;
    ground
        .run("insert into orders values (1, 'open'), (2, 'open'), (2, 'open')")
        .await;
    ground.run("update orders set status = 'open'").await;
    assert_eq!(ground.events().await.len(), 2);
}
