//! `postrider migrate`.

use super::program::{Program, poll};
use crate::support::postgres;

#[tokio::test]
async fn it_applies_what_is_missing_quietly_and_says_what_that_was() {
    let database = postgres::empty_database().await;
    let program = Program::with(&database);
    let said = program.run(&["migrate"]).await;
    assert_eq!(said.errors, "", "no NOTICE and no log");
    let out = said.ok();
    assert!(
        out.starts_with("applied 0001 create instances and endpoints ("),
        "{out}"
    );
    assert!(out.contains("up to date, at migration "), "{out}");

    let again = program.run(&["migrate"]).await.ok();
    assert!(again.starts_with("up to date, at migration "), "{again}");
    let json = program.run(&["migrate", "--json"]).await.json();
    assert_eq!(json["applied"], serde_json::json!([]));
    assert!(json["version"].as_i64().unwrap() >= 7, "{json}");
}

#[tokio::test]
async fn a_role_that_was_given_the_schema_and_may_make_no_other_migrates_and_without_it_is_told_what_it_needs()
 {
    let database = postgres::empty_database().await;
    let mut connection = database.connection().await;
    let role = format!("owner_{:08x}", rand::random::<u32>());
    let name = database.options();
    let name = name.get_database().unwrap();
    let mut run = async |statement: String| {
        let statement = sqlx::AssertSqlSafe(statement);
        let done = sqlx::raw_sql(statement).execute(&mut connection).await;
        done.unwrap();
    };
    run(format!(
        "create role {role} login; revoke create on database {name} from public"
    ))
    .await;
    let program = Program::alone().variable("DATABASE_URL", &database.url_as(&role));
    let refused = program.run(&["migrate"]).await.complaint();
    assert!(
        refused.contains("hint: the first time the role needs `grant create on database`")
            && refused.contains("permission denied for database")
            && !refused.contains("at line"),
        "{refused}"
    );
    run(format!("create schema postrider authorization {role}")).await;
    let said = program.run(&["migrate"]).await.ok();
    assert!(said.contains("up to date, at migration "), "{said}");
}

#[tokio::test]
async fn several_at_once_apply_each_migration_once() {
    let database = postgres::empty_database().await;
    let program = Program::with(&database);
    let run = || program.run(&["migrate", "--json"]);
    let (a, b, c, d) = tokio::join!(run(), run(), run(), run());
    let mut applied: Vec<i64> = [a, b, c, d]
        .into_iter()
        .flat_map(|said| said.json()["applied"].as_array().unwrap().clone())
        .map(|one| one["version"].as_i64().unwrap())
        .collect();
    applied.sort_unstable();
    let known: Vec<i64> = (1..=applied.len().try_into().unwrap()).collect();
    assert_eq!(applied, known);
}

#[tokio::test]
async fn a_lock_that_is_held_is_asked_for_briefly_and_again_until_it_is_free() {
    let database = postgres::empty_database().await;
    let program = Program::with(&database);
    let pool = database.pool().await;
    let mut holder = pool.begin().await.unwrap();
    // Who makes a schema of this name waits until it is known whether this one stays.
    sqlx::query("create schema postrider")
        .execute(&mut *holder)
        .await
        .unwrap();
    let migrating = program.run(&["migrate"]);
    let release = async {
        let mut tries = std::collections::BTreeSet::new();
        poll("a second try", async || {
            let waiting: Vec<i32> = sqlx::query_scalar(
                "select pid from pg_stat_activity where application_name = 'postrider migrate' and datname = current_database()",
            )
            .fetch_all(&pool)
            .await
            .unwrap();
            tries.extend(waiting);
            tries.len() >= 2
        })
        .await;
        holder.rollback().await.unwrap();
    };
    let (said, ()) = tokio::join!(migrating, release);
    assert!(said.errors.contains("trying again"), "{said:?}");
    said.ok();
}

#[tokio::test]
async fn a_database_ahead_of_the_program_is_refused_by_every_command() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    sqlx::query(
        "insert into postrider.migrations (version, description, success, checksum, execution_time)
         values (9999, 'from the future', true, '\\x00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let program = Program::with(&database).variable("POSTRIDER_HTTP__LISTEN", "127.0.0.1:0");
    for command in [&["migrate"][..], &["serve"], &["instance", "list"]] {
        let said = program.run(command).await;
        assert_eq!(said.status, Some(1), "{said:?}");
        assert!(
            said.errors
                .contains("the database is ahead of this program: it has migration 9999"),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn a_command_before_the_schema_says_what_to_do() {
    let database = postgres::empty_database().await;
    let complaint = Program::with(&database)
        .run(&["instance", "list"])
        .await
        .complaint();
    assert_eq!(
        complaint,
        "postrider: error: there is no Postrider in this database yet\n  hint: run `postrider migrate`, or start `postrider serve`\n"
    );
}
