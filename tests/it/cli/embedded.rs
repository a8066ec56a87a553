//! The same commands with no database configured: over the private Postgres, beside a running `serve` and without one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::program::{Program, poll};
use crate::support::receiver::Receiver;
use crate::support::skip::skipped;

/// The program with a private Postgres of that name, which it has made; none where there is no PostgreSQL.
async fn private(name: &str) -> Option<(Program, PathBuf)> {
    // Not under the program's own directory: the server runs as another user where we are root.
    let directory = crate::support::postgres::own_directory().join(name);
    let program = Program::alone()
        .variable(
            "POSTRIDER_DATABASE__EMBEDDED__DATA_DIR",
            directory.to_str().unwrap(),
        )
        .variable("PATH", &std::env::var("PATH").unwrap_or_default());
    let made = program.run(&["migrate"]).await;
    if made.errors.contains("no PostgreSQL") {
        skipped("there is no PostgreSQL here");
        return None;
    }
    made.ok();
    Some((program, directory))
}

#[tokio::test]
async fn commands_work_over_the_private_postgres_beside_a_serve_and_without_one() {
    let Some((program, directory)) = private("cli-embedded").await else {
        return;
    };
    let created = program.run(&["instance", "create", "shop"]).await;
    let told = "no database is named (DATABASE_URL); this is about the private one";
    assert_eq!(created.errors.matches(told).count(), 1, "{created:?}");
    assert_eq!(created.errors.lines().count(), 1, "{created:?}");
    created.ok();
    let serving = program.serve().await;
    serving.until_ready().await;
    let token_file = directory.join("account-token");
    let rights = std::fs::metadata(&token_file).unwrap().permissions();
    assert_eq!(
        rights.mode() & 0o777,
        0o600,
        "the first account token is its owner's alone"
    );
    let token = std::fs::read_to_string(&token_file).unwrap();
    let tokens = program.run(&["token", "list", "--json"]).await.json();
    assert_eq!(
        (token.trim().len(), &tokens[0]["label"]),
        (64, &"first start".into())
    );
    let list = program.run(&["instance", "list", "--json"]).await.json();
    assert_eq!(
        list[0]["name"], "shop",
        "made before, seen beside a running serve"
    );
    let doctor = program.run(&["doctor"]).await.ok();
    assert!(doctor.contains("notifications arrive"), "{doctor}");
    let line = program.run(&["pg", "psql"]).await.ok();
    assert!(
        line.starts_with("psql -h ") && line.contains("-U postrider postrider"),
        "{line}"
    );
    serving.stop().await;
    let again = program.run(&["migrate"]).await.ok();
    assert!(again.starts_with("up to date"), "{again}");
}

#[tokio::test]
async fn commands_that_administer_make_no_database_and_say_what_to_set() {
    let program = Program::alone();
    let directory = program.directory().join("db");
    let program = program.variable(
        "POSTRIDER_DATABASE__EMBEDDED__DATA_DIR",
        directory.to_str().unwrap(),
    );
    let commands: [&[&str]; 9] = [
        &["instance", "list"],
        &["instance", "create", "shop"],
        &["token", "create", "--label", "laptop"],
        &["endpoint", "list"],
        &["endpoint", "set", "shop", "https://example.com/"],
        &["queue", "stats"],
        &["keys", "rotate"],
        &["doctor"],
        &["adopt"],
    ];
    for command in commands {
        let complaint = program.run(command).await.complaint();
        let told = format!(
            "no database is named, and there is no private one in {}",
            directory.display()
        );
        assert!(complaint.contains(&told), "{command:?}: {complaint}");
        assert!(
            complaint.contains("set DATABASE_URL") && complaint.contains("`postrider serve`"),
            "{command:?}: {complaint}"
        );
        assert!(!directory.exists(), "{command:?} made something");
    }
}

#[tokio::test]
async fn a_private_postgres_that_dies_under_serve_is_started_again() {
    let Some((program, directory)) = private("cli-embedded-killed").await else {
        return;
    };
    let serving = program.serve().await;
    serving.until_ready().await;
    let server = || -> Option<i32> {
        let file = std::fs::read_to_string(directory.join("cluster/postmaster.pid"));
        file.ok()?.lines().next()?.parse().ok()
    };
    for times in 1..=2 {
        kill(Pid::from_raw(server().unwrap()), Signal::SIGKILL).unwrap();
        poll("another one", async || {
            serving.logged("private Postgres is up again").len() == times
        })
        .await;
    }
    program.run(&["instance", "create", "shop"]).await.ok();
    let receiver = Receiver::start().await;
    program
        .run(&["endpoint", "set", "shop", &receiver.url()])
        .await
        .ok();
    // What its user makes is not taken for ours.
    let mut connection = PgConnectOptions::new_without_pgpass()
        .socket(directory.join("socket"))
        .port(5432)
        .username("postrider")
        .database("postrider")
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("create table orders (id int); select postrider.capture('orders', type => 'order.made', instance => '''shop''')")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql("insert into orders values (1)")
        .execute(&mut connection)
        .await
        .unwrap();
    poll("the delivery", async || receiver.count() == 1).await;
    connection.close().await.unwrap();
    serving.stop().await;
}
