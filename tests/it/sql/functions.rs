//! What is meant to be called, and what is not.

use std::collections::BTreeSet;

use crate::support::app::TestApp;

/// The names of those that `postrider.functions` shows.
async fn shown(app: &TestApp) -> BTreeSet<String> {
    let names: Vec<String> =
        sqlx::query_scalar("select distinct split_part(call, '(', 1) from postrider.functions")
            .fetch_all(app.pool())
            .await
            .unwrap();
    names.into_iter().collect()
}

#[tokio::test]
async fn the_functions_that_are_shown_are_those_that_the_readme_explains() {
    let app = TestApp::start().await;
    let readme = include_str!("../../../README.md");
    let named: BTreeSet<String> = readme
        .split("postrider.")
        .skip(1)
        .filter_map(|rest| {
            let (name, _) = rest.split_once('(')?;
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            is_name.then(|| name.to_owned())
        })
        .collect();
    assert_eq!(shown(&app).await, named);
}

#[tokio::test]
async fn nobody_may_call_a_function_who_was_not_given_the_right_to() {
    let app = TestApp::start().await;
    let open: Vec<String> = app
        .value(
            "select coalesce(array_agg(p.oid::regprocedure::text), '{}') from pg_proc p
             where p.pronamespace = 'postrider'::regnamespace and has_function_privilege('public', p.oid, 'execute')",
        )
        .await;
    assert_eq!(open, Vec::<String>::new());
}

#[tokio::test]
async fn every_function_says_what_it_is() {
    let app = TestApp::start().await;
    let silent: Vec<String> = sqlx::query_scalar(
        "select oid::regprocedure::text from pg_proc
         where pronamespace = 'postrider'::regnamespace and obj_description(oid, 'pg_proc') is null",
    )
    .fetch_all(app.pool())
    .await
    .unwrap();
    assert!(silent.is_empty(), "{silent:?}");
}

#[tokio::test]
async fn whoever_may_emit_may_look_up_what_there_is() {
    let app = TestApp::start().await;
    let role = format!("reader_{:08x}", rand::random::<u32>());
    app.sql(&format!(
        "create role {role}; select postrider.allow('{role}', 'emit')"
    ))
    .await;
    let mut transaction = app.pool().begin().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("set local role {role}")))
        .execute(&mut *transaction)
        .await
        .unwrap();
    let about: String =
        sqlx::query_scalar("select about from postrider.functions where call like 'requeue(%'")
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
    assert!(about.starts_with("Gives dead letters"), "{about}");
}
