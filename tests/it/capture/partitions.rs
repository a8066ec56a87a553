//! Partitioned tables and inheritance.

use serde_json::{Value, json};

use super::Ground;

/// A table with a partition whose columns lie in another order.
const PARTITIONED: &str = "
    create table sales (id int, region text, note text) partition by list (region);
    create table sales_eu partition of sales for values in ('eu');
    create table sales_us (note text, gone int, region text, id int);
    alter table sales_us drop column gone;
    alter table sales attach partition sales_us for values in ('us');";

/// Captures it for these operations.
fn capture(operations: &str) -> String {
    format!(
        "{PARTITIONED} select postrider.capture('sales', type => 'sale.changed', instance => '''shop''', operations => '{{{operations}}}'
           , data => 'json_build_array(operation, old.id || old.region, new.id || new.region)')"
    )
}

/// The data of every event, in text.
async fn seen(ground: &mut Ground) -> Vec<String> {
    ground.data().await.iter().map(Value::to_string).collect()
}

#[tokio::test]
async fn present_and_future_partitions_are_captured_and_direct_writes_too() {
    let mut ground = Ground::new(&capture("insert")).await;
    ground
        .run("create table sales_as partition of sales for values in ('as')")
        .await;
    ground
        .run("insert into sales values (1, 'eu'), (2, 'us'), (3, 'as')")
        .await;
    ground
        .run("insert into sales_us (id, region) values (4, 'us'); insert into sales_as values (5, 'as')")
        .await;
    assert_eq!(
        seen(&mut ground).await,
        [
            r#"["insert",null,"1eu"]"#,
            r#"["insert",null,"2us"]"#,
            r#"["insert",null,"3as"]"#,
            r#"["insert",null,"4us"]"#,
            r#"["insert",null,"5as"]"#,
        ]
    );
}

#[tokio::test]
async fn a_row_that_moves_to_another_partition_is_an_update() {
    let mut ground = Ground::new(&capture("insert,update,delete")).await;
    ground
        .run("insert into sales values (1, 'eu'), (2, 'us'); truncate postrider.events")
        .await;
    ground
        .run(
            "update sales set region = case region when 'eu' then 'us' else 'eu' end, id = id + 10",
        )
        .await;
    ground.run("update sales set id = id + 10").await;
    ground.run("delete from sales_us").await;
    ground.run("insert into sales values (9, 'us')").await;
    let mut all = seen(&mut ground).await;
    all[..4].sort();
    assert_eq!(
        all,
        [
            r#"["update","11us","21us"]"#,
            r#"["update","12eu","22eu"]"#,
            r#"["update","1eu","11us"]"#,
            r#"["update","2us","12eu"]"#,
            r#"["delete","21us",null]"#,
            r#"["insert",null,"9us"]"#,
        ]
    );
}

#[tokio::test]
async fn a_row_that_moves_is_neither_an_insert_nor_a_delete() {
    let mut ground = Ground::new(&capture("insert,delete")).await;
    ground
        .run("insert into sales values (1, 'eu'); truncate postrider.events; update sales set region = 'us'")
        .await;
    assert!(seen(&mut ground).await.is_empty());
    ground.run("delete from sales").await;
    assert_eq!(seen(&mut ground).await, [r#"["delete","1us",null]"#]);
}

#[tokio::test]
async fn a_failed_update_leaves_no_state_behind() {
    let mut ground = Ground::new(&capture("insert,update,delete")).await;
    ground
        .run(
            "insert into sales values (1, 'eu'); truncate postrider.events; begin; savepoint s;
             do $$ begin update sales set region = 'nowhere'; exception when check_violation then null; end $$;
             delete from sales; insert into sales values (2, 'eu'); commit",
        )
        .await;
    assert_eq!(
        seen(&mut ground).await,
        [r#"["delete","1eu",null]"#, r#"["insert",null,"2eu"]"#]
    );
}

#[tokio::test]
async fn a_writer_cannot_forge_a_row_that_moves() {
    let mut ground = Ground::new(&capture("insert,update,delete")).await;
    let setting = ground
        .value("select 'postrider.' || (facts ->> 'base') || '_1' from postrider.capture_triggers limit 1")
        .await;
    ground
        .run(&format!(
            "begin; set local {setting} = 'u'; insert into sales values (1, 'eu'); delete from sales;
             set local {setting} = 'u(7,eu,)'; insert into sales values (2, 'eu'); commit"
        ))
        .await;
    assert_eq!(
        seen(&mut ground).await,
        [
            r#"["insert",null,"1eu"]"#,
            r#"["delete","1eu",null]"#,
            r#"["insert",null,"2eu"]"#
        ]
    );
}

#[tokio::test]
async fn a_merge_loses_nothing_whatever_it_does() {
    let mut ground = Ground::new(&capture("insert,update,delete")).await;
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
            "insert into sales values (1, 'eu'), (2, 'us'), (3, 'eu'); truncate postrider.events;
             merge into sales using (values (1, ''), (2, 'eu'), (3, ''), (4, 'us')) given (id, region) on sales.id = given.id
             when matched and given.region = '' then delete
             when matched then update set region = given.region
             when not matched then insert values (given.id, given.region)",
        )
        .await;
    let mut all = seen(&mut ground).await;
    all.sort();
    assert_eq!(
        all,
        [
            r#"["delete","1eu",null]"#,
            r#"["delete","2us",null]"#,
            r#"["delete","3eu",null]"#,
            r#"["insert",null,"2eu"]"#,
            r#"["insert",null,"4us"]"#,
        ]
    );
}

#[tokio::test]
async fn a_partition_captured_by_itself_sees_what_is_written_through_the_root() {
    let mut ground = Ground::new(&format!(
        "{PARTITIONED} select postrider.capture('sales_us', type => 'sale.made', instance => '''shop''', data => 'json_build_object(''id'', new.id)')"
    ))
    .await;
    ground
        .run("insert into sales values (1, 'eu'), (2, 'us'); insert into sales_us (id, region) values (3, 'us')")
        .await;
    assert_eq!(ground.data().await, [json!({"id": 2}), json!({"id": 3})]);
}

#[tokio::test]
async fn inheritance_children_are_captured_once_each_way() {
    let mut ground = Ground::new(
        "create table base (id int, v text);
         create table child (extra text) inherits (base);
         create table grandchild (more int) inherits (child);
         select postrider.capture('base', type => 'base.changed', instance => '''shop''', operations => '{insert,update,delete}'
           , data => 'json_build_array(operation, old.v, new.v)')",
    )
    .await;
    ground
        .run("insert into base values (1, 'a'); insert into child values (2, 'b', 'e'); insert into grandchild values (3, 'c', 'e', 1)")
        .await;
    ground
        .run("update base set v = v || '!' where id > 1; update child set v = v || '?'; delete from grandchild; select postrider.uncapture('base'); delete from base")
        .await;
    let mut all = seen(&mut ground).await;
    all.sort();
    assert_eq!(
        all,
        [
            r#"["delete","c!?",null]"#,
            r#"["insert",null,"a"]"#,
            r#"["insert",null,"b"]"#,
            r#"["insert",null,"c"]"#,
            r#"["update","b!","b!?"]"#,
            r#"["update","b","b!"]"#,
            r#"["update","c!","c!?"]"#,
            r#"["update","c","c!"]"#,
        ]
    );
}
