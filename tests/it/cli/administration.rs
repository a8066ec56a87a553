//! `postrider instance`, `endpoint` and `queue`.

use secrecy::ExposeSecret;
use serde_json::json;

use super::program::{KEY, Program, poll, stored_secrets};
use crate::support::postgres;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn an_instance_is_created_listed_shown_and_deleted() {
    let database = postgres::database().await;
    let program = Program::with(&database);
    let empty = program.run(&["instance", "list"]).await.ok();
    assert_eq!(
        empty,
        "no instances yet; make one: postrider instance create NAME\n"
    );

    let made = program
        .run(&["instance", "create", "shop", "--json"])
        .await
        .json();
    assert_eq!(made["name"], "shop");
    let token = made["token"].as_str().unwrap();
    assert_eq!(token.len(), 64);
    let shown = program.run(&["instance", "token", "shop"]).await.ok();
    assert_eq!(shown.trim(), token);

    let twice = program
        .run(&["instance", "create", "shop"])
        .await
        .complaint();
    assert_eq!(
        twice,
        "postrider: error: there is already an instance 'shop'\n"
    );
    let bad = program
        .run(&["instance", "create", " shop"])
        .await
        .complaint();
    assert!(
        bad.contains("cannot name an instance\n  hint: A name is 1 to 255 characters"),
        "{bad}"
    );
    assert!(!bad.contains("CONTEXT"), "{bad}");

    program
        .run(&["endpoint", "set", "shop", "https://example.com/"])
        .await
        .ok();
    let list = program.run(&["instance", "list", "--json"]).await.json();
    assert_eq!(list[0]["endpoints"], 1);
    let shown = program.run(&["instance", "show", "shop"]).await.ok();
    assert!(shown.contains("shop/default"), "{shown}");

    let attach = "create table public.orders (id bigint); select postrider.capture('orders', type => 'order.paid', instance => $$'shop'$$)";
    sqlx::raw_sql(attach)
        .execute(&database.pool().await)
        .await
        .unwrap();
    let refused = program
        .run(&["instance", "delete", "shop"])
        .await
        .complaint();
    assert!(
        refused.contains("1 endpoint;")
            && refused.contains("what writes to public.orders may fail then")
            && refused.contains("add --yes"),
        "{refused}"
    );
    program
        .run(&["instance", "delete", "shop", "--yes"])
        .await
        .ok();
    let gone = program.run(&["instance", "show", "shop"]).await.complaint();
    assert!(gone.contains("there is no instance shop"), "{gone}");
}

#[tokio::test]
async fn what_the_command_line_writes_is_sealed_already() {
    let database = postgres::database().await;
    let program = Program::with(&database)
        .variable("ENCRYPTION_KEY", KEY)
        .variable("TOKEN", "a token of mine");
    program
        .run(&["instance", "create", "shop", "--token-env", "TOKEN"])
        .await
        .ok();
    let headers = program.directory().join("headers.json");
    std::fs::write(&headers, r#"{"X-Team": "billing"}"#).unwrap();
    let made = program
        .run_with_input(
            &[
                "endpoint",
                "set",
                "shop",
                "https://example.com/",
                "--authorization-file",
                "-",
                "--headers-file",
                "headers.json",
                "--sign",
                "--json",
            ],
            "Bearer of my secret\n",
        )
        .await
        .json();
    assert!(
        made["signing_secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );

    let stored = stored_secrets(&database.pool().await).await;
    assert_eq!(stored.len(), 4, "{stored:?}");
    let key = postrider::crypto::Keyring::new(Some(&KEY.into()), &[]).unwrap();
    let opened: Vec<String> = stored
        .iter()
        .map(|(place, text)| {
            let text = text.as_deref().unwrap();
            assert!(text.starts_with("sealed:v1:"), "{place}: {text}");
            key.open(text).unwrap().expose_secret().to_owned()
        })
        .collect();
    let secret = made["signing_secret"].as_str().unwrap();
    assert_eq!(
        opened,
        [
            "Bearer of my secret",
            r#"{"X-Team":"billing"}"#,
            secret,
            "a token of mine"
        ]
    );
    assert_eq!(
        program.run(&["instance", "token", "shop"]).await.ok(),
        "a token of mine\n"
    );

    // Without the key a token is not shown, and the reason is.
    let locked = Program::with(&database)
        .run(&["instance", "token", "shop"])
        .await
        .complaint();
    assert!(
        locked.contains("the token cannot be shown") && locked.contains("set ENCRYPTION_KEY"),
        "{locked}"
    );
}

#[tokio::test]
async fn a_secret_given_in_sql_is_sealed_by_a_running_worker_within_five_seconds() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    let serving = Program::with(&database)
        .variable("ENCRYPTION_KEY", KEY)
        .serve()
        .await;
    serving.until_ready().await;
    sqlx::raw_sql(
        "select postrider.create_instance('shop', token => 'plain token');
         select postrider.set_endpoint('shop', 'https://example.com/', authorization_header => 'Bearer plain', headers => '{\"x\": \"y\"}'
           , signing_secret => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
         insert into postrider.webhook_queue (instance_name, url, payload, event_type, auth_header, next_retry_at)
         values ('shop', 'https://example.com/', '{}', 'x', 'Bearer row', now() + interval '1 hour')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let given = tokio::time::Instant::now();
    poll("all secrets to be sealed", async || {
        let stored = stored_secrets(&pool).await;
        assert_eq!(stored.len(), 5);
        stored
            .iter()
            .all(|(_, text)| text.as_deref().unwrap().starts_with("sealed:v1:"))
    })
    .await;
    assert!(given.elapsed().as_secs_f64() < 5.0, "{:?}", given.elapsed());
    serving.stop().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn an_endpoint_is_set_changed_and_cleared_and_keeps_what_is_not_said() {
    let database = postgres::database().await;
    let program = Program::with(&database).variable("AUTH", "Bearer x");
    program.run(&["instance", "create", "shop"]).await.ok();
    program
        .run(&[
            "endpoint",
            "set",
            "shop",
            "https://one.example/",
            "--event",
            "a",
            "--event",
            "b",
            "--by-events",
            "--authorization-env",
            "AUTH",
            "--header",
            "X-Team: billing",
            "--sign",
            "--schedule",
            "standard",
            "--max-attempts",
            "3",
            "--timeout-ms",
            "2000",
            "--max-in-flight",
            "7",
        ])
        .await
        .ok();
    let show = async || {
        program
            .run(&["endpoint", "show", "shop/default", "--json"])
            .await
            .json()
    };
    let first = show().await;
    for (key, value) in [
        ("events", json!(["a", "b"])),
        ("by_events", json!(true)),
        ("has_authorization", json!(true)),
        ("has_headers", json!(true)),
        ("signing_secrets", json!(1)),
        ("schedule", json!("standard")),
        ("max_attempts", json!(3)),
        ("timeout_ms", json!(2000)),
        ("max_in_flight", json!(7)),
        ("state", json!("enabled")),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    // Said again it is no rotation.
    let again = program
        .run(&["endpoint", "set", "shop", "https://two.example/", "--sign"])
        .await
        .ok();
    assert!(again.contains("it signs already"), "{again}");
    let second = show().await;
    assert_eq!(second["url"], "https://two.example/");
    for kept in [
        "id",
        "events",
        "by_events",
        "has_headers",
        "signing_secrets",
        "schedule",
    ] {
        assert_eq!(second[kept], first[kept], "{kept}");
    }
    let rotated = program
        .run(&["endpoint", "rotate-secret", "shop/default", "--json"])
        .await
        .json();
    assert!(
        rotated["signing_secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    assert_eq!(show().await["signing_secrets"], 2);
    program
        .run(&[
            "endpoint",
            "set",
            "shop",
            "https://two.example/",
            "--all-events",
            "--no-authorization",
            "--no-headers",
            "--no-signing",
            "--by-events",
            "false",
        ])
        .await
        .ok();
    let cleared = show().await;
    for (key, value) in [
        ("events", json!([])),
        ("by_events", json!(false)),
        ("has_authorization", json!(false)),
        ("has_headers", json!(false)),
        ("signing_secrets", json!(0)),
    ] {
        assert_eq!(cleared[key], value, "{key}");
    }
}

#[tokio::test]
async fn what_cannot_be_an_endpoint_is_refused_with_the_reason_and_without_its_secrets() {
    let database = postgres::database().await;
    let program = Program::with(&database).variable("BAD", "hunter2\nhunter3");
    let nowhere = program
        .run(&["endpoint", "set", "shop", "https://example.com/"])
        .await
        .complaint();
    assert!(nowhere.contains("there is no instance"), "{nowhere}");
    program.run(&["instance", "create", "shop"]).await.ok();
    for (arguments, complaint) in [
        (
            &["ftp://example.com/"][..],
            "only http and https URLs are called, not ftp",
        ),
        (
            &["https://example.com/", "--schedule", "never"],
            "there is no schedule 'never'\n  hint: There are: default, ",
        ),
        (&["https://example.com/", "--label", "a b"], "cannot be set"),
        (
            &["https://example.com/", "--authorization-env", "BAD"],
            "characters that no header may have",
        ),
        (
            &["https://example.com/", "--signing-secret-env", "BAD"],
            "does not begin with `whsec_`",
        ),
        (
            &["https://example.com/", "--authorization-env", "NONE"],
            "variable NONE, which is not set",
        ),
        (
            &["https://example.com/", "--header", "hunter2"],
            "write it as \"name: value\"",
        ),
        (
            &["https://example.com/", "--header", "Host: other.example"],
            "sets itself: remove it",
        ),
    ] {
        let arguments = [&["endpoint", "set", "shop"], arguments].concat();
        let said = program.run(&arguments).await.complaint();
        assert!(said.contains(complaint), "{arguments:?}: {said}");
        assert!(
            !said.contains("CONTEXT") && !said.contains("hunter3"),
            "{said}"
        );
    }
    let list = program.run(&["endpoint", "list", "--json"]).await.json();
    assert_eq!(list, json!([]));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn an_endpoint_is_disabled_tested_and_deleted() {
    let database = postgres::database().await;
    let program = Program::with(&database);
    let receiver = Receiver::start().await;
    program.run(&["instance", "create", "shop"]).await.ok();
    program
        .run(&["endpoint", "set", "shop", &receiver.url()])
        .await
        .ok();
    let unattended = program
        .run(&["endpoint", "test", "shop/default", "--wait-s", "0"])
        .await
        .complaint();
    assert!(unattended.contains("is a worker running"), "{unattended}");

    let serving = program.serve().await;
    serving.until_ready().await;
    let said = program
        .run(&["endpoint", "test", "shop/default"])
        .await
        .ok();
    assert!(
        said.starts_with("delivered in ") && said.contains("HTTP 200"),
        "{said}"
    );

    program
        .run(&[
            "endpoint",
            "disable",
            "shop/default",
            "--reason",
            "holidays",
        ])
        .await
        .ok();
    let shown = program
        .run(&["endpoint", "show", "shop/default"])
        .await
        .ok();
    assert!(
        shown.contains("disabled since ") && shown.contains(": holidays"),
        "{shown}"
    );
    let held = program
        .run(&["endpoint", "test", "shop/default"])
        .await
        .complaint();
    assert!(
        held.contains("is disabled: its deliveries are held"),
        "{held}"
    );
    program
        .run(&["endpoint", "enable", "shop/default"])
        .await
        .ok();

    let left: i64 = sqlx::query_scalar("select count(*) from postrider.webhook_queue")
        .fetch_one(&database.pool().await)
        .await
        .unwrap();
    assert_eq!(left, 0, "tests leave nothing in the queue");
    let refused = program
        .run(&["endpoint", "delete", "shop/default"])
        .await
        .complaint();
    assert!(refused.contains("add --yes"), "{refused}");
    program
        .run(&["endpoint", "delete", "shop/default", "--yes"])
        .await
        .ok();
    let gone = program
        .run(&["endpoint", "show", "shop/default"])
        .await
        .complaint();
    assert!(
        gone.contains("instance 'shop' has no endpoint 'default'"),
        "{gone}"
    );
    serving.stop().await;
}

#[tokio::test]
async fn dead_letters_are_listed_and_requeued_and_events_replayed() {
    let database = postgres::database().await;
    let pool = database.pool().await;
    let program = Program::with(&database);
    program.run(&["instance", "create", "shop"]).await.ok();
    program
        .run(&["endpoint", "set", "shop", "https://example.com/"])
        .await
        .ok();
    let emit = "select postrider.emit('shop', 'order.paid', '{\"n\":1}')";
    for _ in 0..3 {
        sqlx::query(emit).execute(&pool).await.unwrap();
    }
    let fail = "update webhook_queue set status = 'failed', last_error = 'HTTP 500' where status = 'pending'";
    sqlx::query(fail).execute(&pool).await.unwrap();

    let dead = program.run(&["queue", "dead", "--json"]).await.json();
    assert_eq!(dead.as_array().unwrap().len(), 3);
    assert_eq!(dead[0]["last_error"], "HTTP 500");
    let shown = program.run(&["queue", "dead", "--limit", "1"]).await.ok();
    assert!(
        shown.contains("shop/default") && shown.lines().count() == 2,
        "{shown}"
    );

    let unsaid = program.run(&["queue", "requeue"]).await.complaint();
    assert!(unsaid.contains("say which"), "{unsaid}");
    let unknown = program
        .run(&["queue", "requeue", "--instance", "other"])
        .await
        .complaint();
    assert!(
        unknown.contains("there is no instance 'other'"),
        "{unknown}"
    );
    let id = dead[0]["id"].to_string();
    for (arguments, requeued) in [
        (&["queue", "requeue", "--id", &id][..], 1),
        (&["queue", "requeue", "--all", "--error-like", "%404%"], 0),
        (&["endpoint", "requeue", "shop/default", "--since", "1h"], 2),
    ] {
        let said = program.run(&[arguments, &["--json"]].concat()).await.json();
        assert_eq!(said["requeued"], requeued, "{arguments:?}");
    }
    let replayed = program
        .run(&[
            "endpoint",
            "replay",
            "shop/default",
            "--since",
            "1h",
            "--json",
        ])
        .await
        .json();
    assert_eq!(replayed["queued"], 3);
}

/// What a role that may operate is refused.
const BEYOND_OPERATORS: [&str; 10] = [
    "select postrider.delete_account(2)",
    "select postrider.set_global_webhook('https://example.com/', '{a}')",
    "select postrider.recount_queue()",
    "select postrider.count_request('x')",
    "select postrider.note_senders('{}', '{}')",
    "select postrider.allow('public', 'emit')",
    "select * from postrider.tokens",
    "select token from postrider.instances",
    "select * from postrider.signing_secrets",
    "insert into postrider.accounts (name) values ('x')",
];

/// What it may do.
const FOR_OPERATORS: [&str; 14] = [
    "select postrider.emit('shop', 'a', '{}')",
    "insert into postrider.webhook_queue (instance_name, url, payload, event_type) values ('shop', 'https://example.com/', '{}', 'a')",
    "update postrider.webhook_queue set status = 'failed'",
    "update public.webhook_queue set status = 'pending', next_retry_at = now() where status = 'failed'",
    "update postrider.webhook_queue set url = 'https://example.com/b', instance_name = 'shop'",
    "delete from postrider.webhook_queue",
    "update postrider.schedules set max_attempts = 6 where name = 'default'",
    "select * from postrider.captures",
    "select * from postrider.capture_failures",
    "select * from postrider.capture_triggers",
    "select * from postrider.dead_letters",
    "select * from postrider.queue_stats",
    "select * from postrider.endpoint_list, postrider.instance_list, postrider.attempts, postrider.rejected_notifications",
    "select postrider.replay(postrider.set_endpoint('shop', 'https://example.com/'), now())",
];

#[tokio::test]
async fn a_role_that_may_operate_may_do_that_and_no_more() {
    let database = postgres::database().await;
    let mut connection = database.connection().await;
    let role = format!("operator_{:08x}", rand::random::<u32>());
    let prepare = format!(
        "create role {role}; select postrider.allow('{role}', 'operate'); select postrider.create_instance('shop');
         insert into postrider.accounts (id, name) values (2, 'acme'); set role {role}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
        .execute(&mut connection)
        .await
        .unwrap();
    for refused in BEYOND_OPERATORS {
        let said = sqlx::raw_sql(refused).execute(&mut connection).await;
        let code = said.expect_err(refused);
        let code = code
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{refused}");
    }
    for allowed in FOR_OPERATORS {
        let done = sqlx::raw_sql(allowed).execute(&mut connection).await;
        assert!(done.is_ok(), "{allowed}: {done:?}");
    }
}

#[tokio::test]
async fn a_role_that_may_operate_manages_endpoints_without_rights_on_the_tables() {
    let database = postgres::database().await;
    let mut connection = database.connection().await;
    let role = format!("operator_{:08x}", rand::random::<u32>());
    let create = format!("create role {role} login; select postrider.allow('{role}', 'operate')");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create))
        .execute(&mut connection)
        .await
        .unwrap();
    let program = Program::alone().variable("DATABASE_URL", &database.url_as(&role));
    program.run(&["instance", "create", "shop"]).await.ok();
    program
        .run(&["endpoint", "set", "shop", "https://example.com/"])
        .await
        .ok();
    for command in [
        &["instance", "list"][..],
        &["endpoint", "disable", "shop/default"],
        &["queue", "stats"],
        &["queue", "dead"],
        &["queue", "requeue", "--all"],
        &["instance", "create", "passing"],
        &["instance", "delete", "passing", "--yes"],
    ] {
        program.run(command).await.ok();
    }
    let own = program
        .run(&["instance", "token", "shop", "--json"])
        .await
        .json();
    assert_eq!(own["token"].as_str().unwrap().len(), 64);
    // Secrets too, sealed before they are written.
    let program = program.variable("ENCRYPTION_KEY", KEY);
    for command in [
        &["endpoint", "set", "shop", "https://example.com/", "--sign"][..],
        &["endpoint", "rotate-secret", "shop/default"],
        &["instance", "token", "shop", "--rotate"],
    ] {
        program.run(command).await.ok();
    }
    let mut header = vec!["endpoint", "set", "shop", "https://example.com/"];
    header.extend(["--header", "x-team: billing"]);
    program.run(&header).await.ok();
    let pool = database.pool().await;
    for (place, stored) in stored_secrets(&pool).await {
        assert!(
            stored.is_none_or(|stored| stored.starts_with("sealed:v1:")),
            "{place} rests in plain"
        );
    }
    let has: bool = sqlx::query_scalar("select has_headers from postrider.endpoint_list")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(has);
    let mut nothing = header[..4].to_vec();
    nothing.extend(["--no-headers", "--no-signing", "--no-authorization"]);
    program.run(&nothing).await.ok();
    let left: (bool, bool, i64) = sqlx::query_as(
        "select has_headers, has_authorization, signing_secrets from postrider.endpoint_list",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(left, (false, false, 0));
}
