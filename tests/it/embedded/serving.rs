//! What a start gives.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use postrider::db::embedded::Cluster;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::{assert_row_kept, data_dir, options_in, write_row};
use crate::support::postgres::{OwnCluster, database, empty_database};
use crate::support::skip::skipped;

/// One value, as text.
async fn ask(connection: &mut PgConnection, question: &'static str) -> String {
    sqlx::query_scalar(question)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_first_start_makes_a_durable_server_of_our_own() {
    let data_dir = data_dir("first");
    let mut options = options_in(&data_dir);
    options.durable = true;
    let cluster = Cluster::start(options).await.unwrap();
    let mut connection = cluster.connect_options().connect().await.unwrap();
    assert_eq!(
        ask(&mut connection, "select current_user::text").await,
        "postrider"
    );
    assert_eq!(
        ask(&mut connection, "select current_database()::text").await,
        "postrider"
    );
    assert_eq!(ask(&mut connection, "show fsync").await, "on");
    assert_eq!(ask(&mut connection, "show full_page_writes").await, "on");
    assert_eq!(ask(&mut connection, "show listen_addresses").await, "");
    assert_eq!(ask(&mut connection, "show server_encoding").await, "UTF8");
}

#[tokio::test]
async fn the_server_never_runs_as_root_and_lets_nobody_else_in() {
    let data_dir = data_dir("closed");
    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    let server = std::fs::metadata(format!("/proc/{}", cluster.process_id())).unwrap();
    assert_ne!(server.uid(), 0);
    for place in [
        data_dir.clone(),
        data_dir.join("socket"),
        data_dir.join("cluster"),
    ] {
        let metadata = std::fs::metadata(&place).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{place:?}");
        assert_eq!(metadata.uid(), server.uid(), "{place:?}");
    }
}

#[tokio::test]
async fn the_server_keeps_nothing_of_our_rights_and_environment() {
    let cluster = Cluster::start(options_in(&data_dir("bare"))).await.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.process_id())).unwrap();
    assert!(
        status
            .lines()
            .any(|line| line == "CapEff:\t0000000000000000"),
        "{status}"
    );
    let environment = std::fs::read(format!("/proc/{}/environ", cluster.process_id())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO"));
}

#[tokio::test]
async fn the_server_holds_open_nothing_of_ours() {
    let file =
        std::fs::File::create(crate::support::postgres::own_directory().join("held")).unwrap();
    // Not closed at exec, as are those that a shell hands down.
    let _inherited = nix::unistd::dup(&file).unwrap();
    let cluster = Cluster::start(options_in(&data_dir("holding")))
        .await
        .unwrap();
    let open = std::fs::read_dir(format!("/proc/{}/fd", cluster.process_id())).unwrap();
    let held = open
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .any(|to| to.ends_with("held"));
    assert!(!held);
}

#[tokio::test]
async fn data_survives_a_stop() {
    let data_dir = data_dir("stopped");
    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    write_row(&cluster).await;
    cluster.stop().await;
    assert!(!data_dir.join("cluster/postmaster.pid").exists());
    assert_row_kept(&Cluster::start(options_in(&data_dir)).await.unwrap()).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_open_sessions() {
    let mut own = OwnCluster::start().await;
    let mut session = own.database().await.connection().await;
    own.stop().await;
    assert!(sqlx::query("select 1").execute(&mut session).await.is_err());
}

#[tokio::test]
async fn settings_of_the_user_win_over_ours() {
    let mut options = options_in(&data_dir("settings"));
    options.settings = vec![("cluster_name".to_owned(), "mine".to_owned())];
    let cluster = Cluster::start(options).await.unwrap();
    let mut connection = cluster.connect_options().connect().await.unwrap();
    assert_eq!(ask(&mut connection, "show cluster_name").await, "mine");
}

#[tokio::test]
async fn the_url_and_the_line_for_psql_hold_even_for_odd_directories() {
    let cluster = Cluster::start(options_in(&data_dir("it's + odd%20")))
        .await
        .unwrap();
    write_row(&cluster).await;
    let mut connection = PgConnection::connect(&cluster.url()).await.unwrap();
    assert_eq!(
        ask(&mut connection, "select number::text from kept").await,
        "7"
    );

    let line = format!("{} -Atc 'select number from kept'", cluster.psql_command());
    if Command::new("psql").arg("--version").output().is_err() {
        return skipped("there is no psql");
    }
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "7\n",
        "{line}: {output:?}"
    );
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (database().await, database().await);
    let (mut one, mut other) = (one.connection().await, other.connection().await);
    sqlx::raw_sql("create table only_here ()")
        .execute(&mut one)
        .await
        .unwrap();
    assert_eq!(
        ask(
            &mut other,
            "select (to_regclass('only_here') is null)::text"
        )
        .await,
        "true"
    );
}

#[tokio::test]
async fn the_url_of_a_test_database_leads_to_it() {
    let database = empty_database().await;
    let mut by_url = PgConnection::connect(&database.url()).await.unwrap();
    let mut by_options = database.connection().await;
    let question = "select current_database()::text";
    assert_eq!(
        ask(&mut by_url, question).await,
        ask(&mut by_options, question).await
    );
}
