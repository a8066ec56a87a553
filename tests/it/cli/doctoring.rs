//! `postrider doctor` on deployments that are well and on such that are not.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection};

use super::program::{KEY, Program, Said, poll};
use crate::support::pooler::{Mode, Pooler};
use crate::support::postgres;

/// The findings of a check, as level and message; none may show a secret.
fn findings(said: &Said, check: &str) -> Vec<(String, String)> {
    assert!(
        !said.out.contains(KEY) && !said.out.contains("hunter2"),
        "{said:?}"
    );
    let all: Vec<Value> = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.iter()
        .filter(|finding| finding["check"] == check)
        .map(|finding| (text(&finding["level"]), text(&finding["message"])))
        .collect()
}

/// Asserts that a check found this.
#[track_caller]
fn found(said: &Said, check: &str, level: &str, part: &str) {
    let findings = findings(said, check);
    assert!(
        findings
            .iter()
            .any(|(is, message)| is == level && message.contains(part)),
        "{check} is not {level} with {part:?}: {said:?}"
    );
}

#[tokio::test]
async fn a_deployment_that_is_well_has_no_finding_but_ok() {
    let database = postgres::database().await;
    let program = Program::with(&database)
        .variable("ENCRYPTION_KEY", KEY)
        .variable("POSTRIDER_HTTP__PUBLIC_URL", "https://events.example.com");
    let serving = program.serve().await;
    serving.until_ready().await;
    program.run(&["instance", "create", "shop"]).await.ok();
    // Maintenance begins a moment after the worker is ready.
    let mut said = program.run(&["doctor", "--json"]).await;
    poll("the maintenance duty", async || {
        said = program.run(&["doctor", "--json"]).await;
        findings(&said, "workers")
            .iter()
            .all(|(level, _)| level == "ok")
    })
    .await;
    assert_eq!(said.status, Some(0), "{said:?}");
    let all: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    for finding in all {
        // The tests' own server is not to survive a power cut.
        let fsync = finding["message"]
            .as_str()
            .unwrap()
            .starts_with("fsync is off");
        assert!(fsync || finding["level"] == "ok", "{finding}");
    }
    for (check, part) in [
        ("connection", "answers"),
        ("server", "PostgreSQL 1"),
        ("rights", "may do what it must"),
        ("clock", "agree"),
        ("doorbell", "notifications arrive"),
        ("migrations", "up to date"),
        ("public.webhook_queue", "our view"),
        ("installation", "the one that delivers"),
        ("captures", "there are 0"),
        ("workers", "maintenance: "),
        ("encryption", "nothing rests in plain"),
        ("http.public_url", "events.example.com"),
    ] {
        found(&said, check, "ok", part);
    }
    serving.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_remedy() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    sqlx::raw_sql(
        "drop view public.webhook_queue; create table public.webhook_queue (id int);
         alter table postrider.webhook_queue set (autovacuum_enabled = false);
         select postrider.create_instance('shop', token => 'hunter2');
         select postrider.set_endpoint('shop', 'https://example.com/', label, state => 'paused') from unnest('{a,b}'::text[]) as label;
         insert into postrider.endpoint_health (endpoint_id, failing_since) select min(id), now() from postrider.endpoints;
         insert into postrider.webhook_queue (instance_name, url, payload, event_type, status) values ('shop', 'https://example.com/', '', 'a', 'failed')",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::raw_sql("select postrider.add_up_queue_depth()")
        .execute(&pool)
        .await
        .unwrap();
    let program = Program::with(&database);
    let said = program.run(&["doctor", "--json"]).await;
    assert_eq!(said.status, Some(1));
    found(
        &said,
        "public.webhook_queue",
        "warning",
        "which is not ours",
    );
    found(
        &said,
        "autovacuum",
        "failure",
        "off for postrider.webhook_queue",
    );
    found(
        &said,
        "encryption",
        "warning",
        "no encryption key; in plain at rest: 1 instance tokens",
    );
    found(&said, "workers", "warning", "nothing is delivered");
    found(&said, "endpoints", "warning", "1 of them fail");
    found(&said, "endpoints", "warning", "2 of them are paused");
    found(&said, "dead letters", "note", "there are 1");
    found(&said, "installation", "note", "no worker has ever run here");
    let page = program.run(&["doctor"]).await.out;
    assert!(
        page.contains(
            "         -> alter table postrider.webhook_queue reset (autovacuum_enabled);\n"
        ),
        "{page}"
    );
    assert!(page.contains("\nfailures: 1, warnings: "), "{page}");

    sqlx::query("alter table postrider.webhook_queue reset (autovacuum_enabled)")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(
        program.run(&["doctor"]).await.status,
        Some(0),
        "warnings pass"
    );
    assert_eq!(program.run(&["doctor", "--strict"]).await.status, Some(1));
}

#[tokio::test]
async fn a_key_that_cannot_open_what_is_stored_is_a_failure() {
    let database = postgres::database().await;
    Program::with(&database)
        .variable("ENCRYPTION_KEY", KEY)
        .run(&["instance", "create", "shop"])
        .await
        .ok();
    let other = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let program = Program::with(&database).variable("ENCRYPTION_KEY", other);
    let said = program.run(&["doctor", "--json"]).await;
    assert_eq!(said.status, Some(1));
    found(
        &said,
        "encryption",
        "failure",
        "1 instance tokens cannot be opened: it is sealed with key ",
    );
    let said = program
        .variable("ENCRYPTION_KEY_OLD", KEY)
        .run(&["doctor", "--json"])
        .await;
    found(&said, "encryption", "ok", "nothing rests in plain");
    let nonsense = Program::with(&database).variable("ENCRYPTION_KEY", "hunter2");
    let said = nonsense.run(&["doctor", "--json"]).await;
    assert_eq!(said.status, Some(78));
    assert!(said.errors.contains("32 bytes"), "{said:?}");
}

#[tokio::test]
async fn a_role_without_the_rights_is_told_which_are_missing() {
    let database = postgres::database().await;
    let mut connection = database.connection().await;
    let role = format!("doctor_{:08x}", rand::random::<u32>());
    let create = format!("create role {role} login; select postrider.allow('{role}', 'emit')");
    sqlx::raw_sql(AssertSqlSafe(create))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let program = Program::alone().variable("DATABASE_URL", &database.url_as(&role));
    let said = program.run(&["doctor", "--json"]).await;
    assert_eq!(said.status, Some(1));
    found(
        &said,
        "rights",
        "failure",
        "may not create in schema postrider, nor write to postrider.webhook_queue",
    );
    found(&said, "transactions", "note", "sees only its own sessions");
    found(
        &said,
        "encryption",
        "warning",
        "could not be checked: look at secrets at rest",
    );
}

#[tokio::test]
async fn a_database_that_is_empty_ahead_or_away_is_a_failure() {
    let database = postgres::empty_database().await;
    let program = Program::with(&database);
    let said = program.run(&["doctor", "--json"]).await;
    assert_eq!(said.status, Some(1));
    found(
        &said,
        "migrations",
        "failure",
        "no Postrider in this database",
    );
    found(&said, "doorbell", "ok", "notifications arrive");

    let away = Program::alone()
        .variable(
            "DATABASE_URL",
            "postgres://nobody:hunter2@127.0.0.1:1/nothing",
        )
        .run(&["doctor", "--json"])
        .await;
    assert_eq!(away.status, Some(1));
    found(&away, "connection", "failure", "");
}

#[tokio::test]
async fn a_copy_is_a_failure() {
    let original = postgres::database().await;
    let serving = Program::with(&original).serve().await;
    serving.until_ready().await;
    serving.stop().await;
    let copy = original.copy().await;
    let said = Program::with(&copy).run(&["doctor", "--json"]).await;
    found(
        &said,
        "installation",
        "failure",
        "nothing is delivered from it",
    );
}

#[tokio::test]
async fn a_pooler_in_between_is_named_with_the_remedy() {
    let database = postgres::database().await;
    let Some(pooler) = Pooler::before_or_skipped(&database.options(), Mode::Transaction).await
    else {
        return;
    };
    let program = Program::alone().variable("DATABASE_URL", &pooler.url());
    let said = program.run(&["doctor", "--json"]).await;
    assert_eq!(said.status, Some(0), "it is no failure: {said:?}");
    for check in ["connection", "doorbell"] {
        found(&said, check, "warning", "a pooler in transaction mode");
    }
    found(&said, "migrations", "ok", "up to date");
    let past = program.variable("POSTRIDER_DATABASE__DIRECT_URL", &database.url());
    let said = past.run(&["doctor", "--json"]).await;
    found(&said, "connection", "ok", "the database answers");
    found(&said, "doorbell", "ok", "notifications arrive");
}

#[tokio::test]
async fn a_captured_table_that_has_become_a_partition_since_is_found_until_it_is_captured_again() {
    let database = postgres::database().await;
    let mut connection = database.connection().await;
    let capture =
        "select postrider.capture('public.sales_eu', type => 'sale.made', instance => '''shop''')";
    sqlx::raw_sql(AssertSqlSafe(format!(
        "select postrider.create_instance('shop'); create table public.sales_eu (id int, region text not null); {capture};
         create table public.sales (id int, region text not null) partition by list (region);
         alter table public.sales attach partition public.sales_eu for values in ('eu')"
    )))
    .execute(&mut connection)
    .await
    .unwrap();
    let program = Program::with(&database);
    let said = program.run(&["doctor", "--json"]).await;
    found(
        &said,
        "captures",
        "warning",
        "what is written through sales is no event",
    );
    sqlx::raw_sql(AssertSqlSafe(format!(
        "{capture}; insert into public.sales values (1, 'eu')"
    )))
    .execute(&mut connection)
    .await
    .unwrap();
    let said = program.run(&["doctor", "--json"]).await;
    found(&said, "captures", "ok", "there are 1");
    let events: i64 = sqlx::query_scalar("select count(*) from postrider.events")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(events, 1);
    sqlx::raw_sql("alter table public.sales_eu disable trigger user")
        .execute(&mut connection)
        .await
        .unwrap();
    let said = program.run(&["doctor", "--json"]).await;
    found(&said, "captures", "warning", "are disabled");
    connection.close().await.unwrap();
}
