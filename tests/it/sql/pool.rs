//! The pool, when the network fails without a word.

use futures_util::future::join_all;
use postrider::db::{Database, Line, Purpose, Route};
use tokio::time::timeout;

use crate::support::app::TestApp;
use crate::support::proxy::Proxy;
use crate::support::wait::PATIENCE;

#[tokio::test]
async fn our_statements_run_at_the_level_they_are_written_for_whatever_the_databases_default_is() {
    let app = TestApp::start().await;
    let name: String = app.value("select current_database()").await;
    app.sql(&format!(
        "alter database {name} set default_transaction_isolation = 'serializable'"
    ))
    .await;
    // While one serializable transaction is open, others leave a trace of what they have read.
    let mut open = app
        .pool()
        .begin_with("begin isolation level serializable")
        .await
        .unwrap();
    sqlx::raw_sql("select from postrider.events")
        .execute(&mut *open)
        .await
        .unwrap();
    for line in [Line::Direct, Line::Pooled] {
        for purpose in [Purpose::Worker, Purpose::Api] {
            let options = app.options();
            let database = Database::open(Route { options, line }, purpose, 1);
            database.depth().await.unwrap();
            let traces: i64 = sqlx::query_scalar("select count(*) from pg_locks where mode = 'SIReadLock' and database = (select oid from pg_database where datname = current_database()) and pid is distinct from pg_backend_pid()")
                .fetch_one(&mut *open)
                .await
                .unwrap();
            assert_eq!(traces, 0, "{line:?} {purpose:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_were_cut_without_a_word_do_not_fail_who_comes_next() {
    let app = TestApp::start().await;
    let proxy = Proxy::before(app.options()).await;
    let connections = 12;
    let database = Database::open(proxy.options(), Purpose::Realtime, connections);
    let all = timeout(
        PATIENCE,
        join_all((0..connections).map(|_| database.ping())),
    )
    .await;
    for answered in all.expect("the first are answered") {
        answered.unwrap();
    }
    proxy.freeze();
    // What leads there stays dead; only who connects anew gets through.
    proxy.mend_only_new();
    let all = timeout(
        PATIENCE,
        join_all((0..connections).map(|_| database.ping())),
    )
    .await;
    for answered in all.expect("the next are answered") {
        answered.unwrap();
    }
}
