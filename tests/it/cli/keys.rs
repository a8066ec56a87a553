//! `postrider keys rotate`, and what is said where there is no key or a wrong one.

use postrider::crypto::{Keyring, is_sealed};
use secrecy::ExposeSecret;
use sqlx::PgPool;

use super::program::{KEY, Program, poll, stored_secrets};
use crate::support::postgres;

/// The key after `KEY`.
const NEW_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
/// Rows with credentials of their own: more than one batch.
const ROWS: i32 = 4500;

/// Gives the endpoint an authorization, from standard input.
const SET: [&str; 6] = [
    "endpoint",
    "set",
    "shop",
    "https://example.com/",
    "--authorization-file",
    "-",
];

/// A keyring of one key.
fn keyring(key: &str) -> Keyring {
    Keyring::new(Some(&key.into()), &[]).unwrap()
}

/// Writes one secret of every kind, sealed with `KEY`, and more rows than a batch has.
async fn fill(program: &Program, pool: &PgPool) {
    program.run(&["instance", "create", "shop"]).await.ok();
    std::fs::write(
        program.directory().join("headers.json"),
        r#"{"X-Team": "billing"}"#,
    )
    .unwrap();
    let set = [&SET[..], &["--headers-file", "headers.json", "--sign"]].concat();
    program.run_with_input(&set, "Bearer shop\n").await.ok();
    let sealed = keyring(KEY).seal(&"Bearer row".into(), &mut rand::rng());
    sqlx::query(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, auth_header, next_retry_at)
         select 'shop', 'https://example.com/', '{}', 'direct', $1, now() + interval '1 day' from generate_series(1, $2)",
    )
    .bind(sealed)
    .bind(ROWS)
    .execute(pool)
    .await
    .unwrap();
}

/// All secrets, opened with this key alone, in order.
async fn opened(pool: &PgPool, key: &str) -> Vec<(String, String)> {
    let keyring = keyring(key);
    let mut all: Vec<_> = stored_secrets(pool)
        .await
        .into_iter()
        .filter_map(|(place, text)| {
            let text = text?;
            assert!(is_sealed(&text), "{place} rests in plain");
            Some((
                place,
                keyring.open(&text).unwrap().expose_secret().to_owned(),
            ))
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn after_a_rotation_the_new_key_alone_opens_every_secret() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    fill(
        &Program::with(&database).variable("ENCRYPTION_KEY", KEY),
        &pool,
    )
    .await;
    let before = opened(&pool, KEY).await;
    assert_eq!(before.len(), 4 + usize::try_from(ROWS).unwrap());

    let program = Program::with(&database)
        .variable("ENCRYPTION_KEY", NEW_KEY)
        .variable("ENCRYPTION_KEY_OLD", KEY);
    let said = program.run(&["keys", "rotate"]).await.ok();
    assert!(said.contains("everything is sealed with key "), "{said}");
    assert_eq!(opened(&pool, NEW_KEY).await, before);

    let again = program.run(&["keys", "rotate", "--json"]).await.json();
    let places = again["places"].as_array().unwrap();
    let of_rows = places.last().unwrap();
    assert_eq!(of_rows["place"], "rows of webhook_queue");
    assert_eq!(
        (&of_rows["sealed"], &of_rows["current"]),
        (&0.into(), &ROWS.into())
    );
    assert!(places.iter().all(|place| place["sealed"] == 0), "{again}");
}

#[tokio::test]
async fn at_each_step_of_a_rotation_a_process_opens_what_those_a_step_behind_and_ahead_seal() {
    let database = postgres::database().await;
    let at_step = |current: &str, others: &str| {
        Program::with(&database)
            .variable("ENCRYPTION_KEY", current)
            .variable("ENCRYPTION_KEY_OLD", others)
    };
    // As `postrider keys rotate --help` has them; before the last one comes the command itself.
    let steps = [
        at_step(KEY, ""),
        at_step(KEY, NEW_KEY),
        at_step(NEW_KEY, KEY),
        at_step(NEW_KEY, ""),
    ];
    steps[0].run(&["instance", "create", "shop"]).await.ok();
    for (number, pair) in steps.windows(2).enumerate() {
        if number == 2 {
            pair[0].run(&["keys", "rotate"]).await.ok();
        }
        for (sealing, opening) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            sealing.run_with_input(&SET, "Bearer shop\n").await.ok();
            let said = opening.run(&["doctor", "--json"]).await;
            assert!(said.out.contains("nothing rests in plain"), "{said:?}");
            assert!(!said.out.contains("cannot be opened"), "{number}: {said:?}");
        }
    }
}

#[tokio::test]
async fn a_rotation_also_seals_what_rests_in_plain() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    Program::with(&database)
        .variable("TOKEN", "in plain")
        .run(&["instance", "create", "shop", "--token-env", "TOKEN"])
        .await
        .ok();
    let program = Program::with(&database).variable("ENCRYPTION_KEY", KEY);
    program.run(&["keys", "rotate"]).await.ok();
    assert_eq!(
        opened(&pool, KEY).await,
        [("token".to_owned(), "in plain".to_owned())]
    );
}

#[tokio::test]
async fn what_a_lost_key_sealed_is_left_as_it_is_and_named_and_the_rest_is_rotated() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    let lost = Program::with(&database).variable("ENCRYPTION_KEY", NEW_KEY);
    lost.run(&["instance", "create", "lost"]).await.ok();
    let known = Program::with(&database).variable("ENCRYPTION_KEY", KEY);
    known.run(&["instance", "create", "known"]).await.ok();
    let newest = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";
    let said = Program::with(&database)
        .variable("ENCRYPTION_KEY", newest)
        .variable("ENCRYPTION_KEY_OLD", KEY)
        .run(&["keys", "rotate"])
        .await;
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(
        said.out
            .contains("1 instance tokens cannot be opened: it is sealed with key "),
        "{said:?}"
    );
    let token = async |name: &str| -> String {
        sqlx::query_scalar("select token from postrider.instances where name = $1")
            .bind(name)
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    assert!(keyring(NEW_KEY).open(&token("lost").await).is_ok());
    assert!(keyring(newest).open(&token("known").await).is_ok());
}

#[tokio::test]
async fn a_row_that_is_locked_is_passed_over_and_told_and_the_next_rotation_takes_it() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    fill(
        &Program::with(&database).variable("ENCRYPTION_KEY", KEY),
        &pool,
    )
    .await;
    let mut operator = pool.begin().await.unwrap();
    sqlx::query("update postrider.webhook_queue set next_retry_at = now() + interval '2 days' where id = (select max(id) from postrider.webhook_queue)")
        .execute(&mut *operator)
        .await
        .unwrap();
    let program = Program::with(&database)
        .variable("ENCRYPTION_KEY", NEW_KEY)
        .variable("ENCRYPTION_KEY_OLD", KEY);
    let said = program.run(&["keys", "rotate"]).await;
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(
        said.out
            .contains("1 rows of webhook_queue were locked or changed by others"),
        "{said:?}"
    );
    operator.commit().await.unwrap();
    program.run(&["keys", "rotate"]).await.ok();
    opened(&pool, NEW_KEY).await;
}

#[tokio::test]
async fn without_a_key_or_with_a_wrong_one_nothing_is_rotated_and_the_remedy_is_told() {
    let database = postgres::database().await;
    let none = Program::with(&database).run(&["keys", "rotate"]).await;
    let complaint = none.complaint();
    assert!(
        complaint.contains("no key to seal with") && complaint.contains("hint: set ENCRYPTION_KEY"),
        "{complaint}"
    );
    let wrong = Program::with(&database)
        .variable("ENCRYPTION_KEY", "hunter2")
        .run(&["keys", "rotate"])
        .await;
    assert_eq!(wrong.status, Some(78));
    assert_eq!(
        wrong.errors,
        "postrider: error: the configuration cannot be used\n  \
         environment: ENCRYPTION_KEY: an encryption key is 32 bytes in base64 or hex, and this is something else; \
         make one with `openssl rand -base64 32`\n"
    );
}

#[tokio::test]
async fn serve_says_once_that_secrets_rest_in_plain_and_only_without_a_key() {
    let database = postgres::database().await;
    let serving = Program::with(&database).serve().await;
    serving.until_ready().await;
    let said = "secrets rest in plain";
    poll("the statement", async || !serving.logged(said).is_empty()).await;
    assert_eq!(serving.logged(said).len(), 1);
    serving.stop().await;
    let serving = Program::with(&database)
        .variable("ENCRYPTION_KEY", KEY)
        .serve()
        .await;
    serving.until_ready().await;
    assert_eq!(serving.logged(said).len(), 0);
    serving.stop().await;
}

#[tokio::test]
async fn what_no_key_opens_is_shown_encrypted_with_a_warning_that_names_no_secret() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    let sealing = Program::with(&database).variable("ENCRYPTION_KEY", KEY);
    sealing.run(&["instance", "create", "shop"]).await.ok();
    let set = [
        "endpoint",
        "set",
        "shop",
        "https://example.com/",
        "--dialect",
        "ryze",
        "--authorization-file",
        "-",
    ];
    sealing.run_with_input(&set, "Bearer shop\n").await.ok();
    let stored: String = sqlx::query_scalar("select authorization_header from postrider.endpoints")
        .fetch_one(&pool)
        .await
        .unwrap();
    let account = "account-token-of-the-tests";
    let path = "/api/events/getWebhook/shop?label=";
    let warning = "is shown as it rests, encrypted";
    let program = |key: &str| {
        Program::with(&database)
            .variable("POSTRIDER_ACCOUNT_TOKEN", account)
            .variable("ENCRYPTION_KEY", key)
    };
    for (key, shown, warnings) in [(KEY, "Bearer shop", 0), (NEW_KEY, &*stored, 1)] {
        let serving = program(key).serve().await;
        serving.until_ready().await;
        let answer = serving.get(path, account).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains(shown), "{answer}");
        poll("the warning", async || {
            serving.logged(warning).len() == warnings
        })
        .await;
        let told_at_the_start = !serving.logged("sealed secrets cannot be opened").is_empty();
        assert_eq!(told_at_the_start, key != KEY);
        assert_eq!(serving.logged(&stored).len(), 0);
        assert_eq!(serving.logged(account).len(), 0);
        serving.stop().await;
    }
}
