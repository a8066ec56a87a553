//! Everything behind a real `PgBouncer`.

use sqlx::{ConnectOptions, Connection, Row};
use tokio::task::JoinSet;

use super::program::{Program, poll};
use crate::support::pooler::{Mode, Pooler, SERVERS};
use crate::support::postgres::{self, TestDatabase};
use crate::support::receiver::Receiver;

/// Events from several applications behind the same pooler.
const APPLICATIONS: usize = 6;
/// From each.
const EVENTS: usize = 40;

/// Serves behind a pooler, from an empty database to the last delivery.
async fn delivers_everything(database: &TestDatabase, pooler: &Pooler) {
    let receiver = Receiver::start().await;
    let program = Program::alone().variable("DATABASE_URL", &pooler.url());
    let applied = program.run(&["migrate"]).await.ok();
    assert!(applied.contains("up to date, at migration "), "{applied}");
    let serving = program.serve().await;
    serving.until_ready().await;
    program.run(&["instance", "create", "shop"]).await.ok();
    program
        .run(&["endpoint", "set", "shop", &receiver.url()])
        .await
        .ok();
    let mut applications = JoinSet::new();
    for _ in 0..APPLICATIONS {
        let options = pooler.options();
        applications.spawn(async move {
            let mut connection = options.connect().await.unwrap();
            for _ in 0..EVENTS {
                sqlx::raw_sql("select postrider.emit('shop', 'order.paid', '{}')")
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
        });
    }
    applications.join_all().await;
    poll("all deliveries", async || {
        receiver.count() >= APPLICATIONS * EVENTS
    })
    .await;
    serving.stop().await;
    let pool = database.pool().await;
    let left: i64 = sqlx::query_scalar(
        "select count(*) from postrider.webhook_queue where status <> 'delivered' or lease_token is not null",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
    assert_eq!(
        receiver.count(),
        APPLICATIONS * EVENTS,
        "nothing came twice"
    );
}

/// What our statements left on each of the pooler's servers, which others use after us.
async fn left_behind(pooler: &Pooler) -> Vec<String> {
    let mut holding = Vec::new();
    let mut found = Vec::new();
    // All of them are busy at once, so each transaction has another one.
    for _ in 0..SERVERS {
        let mut connection = pooler.options().connect().await.unwrap();
        sqlx::raw_sql("begin")
            .execute(&mut connection)
            .await
            .unwrap();
        let row = sqlx::raw_sql(
            "select coalesce((select string_agg(statement, '; ') from pg_prepared_statements), '')
                 || coalesce((select 'an advisory lock' from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() limit 1), '')
                 || coalesce((select 'listens to ' || string_agg(topic, ', ') from pg_listening_channels() as topic), '')
                 || (select coalesce(string_agg(name, ', '), '') from pg_settings
                     where source = 'session' and name in ('plan_cache_mode', 'enable_seqscan', 'jit', 'statement_timeout', 'lock_timeout'))",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        found.push(row.get(0));
        holding.push(connection);
    }
    for connection in holding {
        connection.close().await.unwrap();
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_in_transaction_mode_all_is_delivered_and_nothing_is_left_behind() {
    for mode in [Mode::Transaction, Mode::TransactionInTurns] {
        let database = postgres::empty_database().await;
        let Some(pooler) = Pooler::before_or_skipped(&database.options(), mode).await else {
            return;
        };
        delivers_everything(&database, &pooler).await;
        assert_eq!(left_behind(&pooler).await, [""; SERVERS], "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_that_keeps_our_settings_out_all_is_delivered_too() {
    let database = postgres::empty_database().await;
    let Some(pooler) = Pooler::before_or_skipped(&database.options(), Mode::Session).await else {
        return;
    };
    delivers_everything(&database, &pooler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_past_the_pooler_is_taken_for_everything() {
    let database = postgres::database().await;
    let receiver = Receiver::start().await;
    let program = Program::alone()
        .variable("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .variable("POSTRIDER_DATABASE__DIRECT_URL", &database.url());
    let serving = program.serve().await;
    serving.until_ready().await;
    program.run(&["instance", "create", "shop"]).await.ok();
    program
        .run(&["endpoint", "set", "shop", &receiver.url()])
        .await
        .ok();
    let pool = database.pool().await;
    sqlx::query("select postrider.emit('shop', 'order.paid', '{}')")
        .execute(&pool)
        .await
        .unwrap();
    poll("the delivery", async || receiver.count() == 1).await;
    serving.stop().await;
}
