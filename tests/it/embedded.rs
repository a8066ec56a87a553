//! The private Postgres, started for real.

use sqlx::Connection;

use crate::support::postgres::{OwnCluster, database, empty_database};

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (database().await, database().await);
    let (mut one, mut other) = (one.connection().await, other.connection().await);
    sqlx::raw_sql("create table only_here ()")
        .execute(&mut one)
        .await
        .unwrap();
    let there: bool = sqlx::query_scalar("select to_regclass('only_here') is not null")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert!(!there);
}

#[tokio::test]
async fn the_url_leads_to_the_same_database_as_the_options() {
    let database = empty_database().await;
    let mut connection = sqlx::PgConnection::connect(&database.url()).await.unwrap();
    let by_url: String = sqlx::query_scalar("select current_database()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let mut connection = database.connection().await;
    let by_options: String = sqlx::query_scalar("select current_database()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(by_url, by_options);
}

#[tokio::test]
async fn what_was_committed_outlives_a_kill_of_the_server() {
    let mut own = OwnCluster::start().await;
    let database = own.database().await;
    let pool = database.pool().await;
    sqlx::raw_sql("create table kept as select 7 as number")
        .execute(&pool)
        .await
        .unwrap();
    own.kill_immediately().await;
    own.start_again().await;
    let number: i32 = sqlx::query_scalar("select number from kept")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(number, 7);
}

#[tokio::test]
async fn what_was_committed_outlives_a_stop_of_the_server() {
    let mut own = OwnCluster::start().await;
    let pool = own.database().await.pool().await;
    sqlx::raw_sql("create table kept as select 7 as number")
        .execute(&pool)
        .await
        .unwrap();
    own.stop().await;
    own.start_again().await;
    let number: i32 = sqlx::query_scalar("select number from kept")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(number, 7);
}
