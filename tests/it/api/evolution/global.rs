//! The global webhook, and what is told at the start: by the real program, configured by the names of Evolution API.

use std::process::{Child, Command, Stdio};

use serde_json::json;
use sqlx::ConnectOptions as _;

use super::{global, start};
use crate::support::api::{ACCOUNT, Call};
use crate::support::app::TestApp;
use crate::support::receiver::Receiver;
use crate::support::wait::{PATIENCE, until};

/// `postrider serve` with these variables; killed when the test ends.
struct Program(Child);

impl Program {
    fn start(app: &TestApp, variables: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_postrider"))
            .arg("serve")
            .env("POSTRIDER_HTTP__LISTEN", "127.0.0.1:0")
            .env("DATABASE_URL", app.options().to_url_lossy().to_string())
            .env("POSTRIDER_EGRESS__ALLOW", "127.0.0.0/8")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How many parts the global webhook has, in this state.
async fn parts(app: &TestApp, state: &str) -> i64 {
    app.value(&format!(
        "select count(*) from postrider.endpoints where is_global and state = '{state}'"
    ))
    .await
}

#[tokio::test]
async fn the_global_webhook_gets_the_events_of_all_instances_beside_their_own() {
    let app = TestApp::start().await;
    let everybody = Receiver::start().await;
    let own = app.endpoint("default").dialect("evolution").create().await;
    let url = format!("{}global-webhook", everybody.url());
    let program = Program::start(
        &app,
        &[
            ("WEBHOOK_GLOBAL_ENABLED", "true"),
            ("WEBHOOK_GLOBAL_URL", &url),
            ("WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS", "true"),
            ("WEBHOOK_EVENTS_MESSAGES_UPSERT", "true"),
            ("WEBHOOK_EVENTS_INSTANCE_CREATE", "true"),
            ("WEBHOOK_EVENTS_CONNECTION_UPDATE", "false"),
        ],
    );
    until("it is there", PATIENCE, async || {
        parts(&app, "enabled").await == 1
    })
    .await;
    app.emit("messages.upsert", "{}").await;
    app.emit("connection.update", "{}").await;
    // One that comes later has it too.
    let api = start(&app).await;
    let made = global(api.post("/instance/create"))
        .json(&json!({"instanceName": "later"}))
        .send()
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    app.sql("select postrider.emit('later', 'message.exchange', '{}')")
        .await;
    let requests = everybody.wait_for(3).await;
    app.drained().await;
    let mut paths: Vec<_> = requests
        .iter()
        .map(|request| request.path.clone())
        .collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/global-webhook/instance-create",
            "/global-webhook/messages-upsert",
            "/global-webhook/messages-upsert"
        ]
    );
    assert_eq!(everybody.count(), 3);
    for request in &requests {
        assert_eq!(request.json()["destination"], url);
    }
    // application.startup, and the two events of its own instance.
    own.receiver.wait_for(3).await;
    drop(program);

    let _off = Program::start(&app, &[]);
    until("it is gone", PATIENCE, async || {
        parts(&app, "disabled").await == 2
    })
    .await;
}

#[tokio::test]
async fn the_global_webhook_hears_of_instances_made_and_deleted_in_any_way() {
    let app = TestApp::start().await;
    app.sql("select postrider.set_global_webhook('https://ops.example/hook', '{instance.create,instance.delete}')")
        .await;
    let api = start(&app).await;
    for (method, path, body, delete) in [
        (
            "POST",
            "/v1/instances",
            json!({"name": "x"}),
            "/v1/instances/x",
        ),
        (
            "POST",
            "/api/instance/new",
            json!({"name": "x", "webhookEnabled": true, "webhookURL": "https://x.example/"}),
            "/api/instance/delete/x",
        ),
        (
            "PUT",
            "/instances/create",
            json!({"name": "xxx"}),
            "/v1/instances/xxx",
        ),
        (
            "POST",
            "/instance/create",
            json!({"instanceName": "x"}),
            "/instance/delete/x",
        ),
    ] {
        let everywhere = |call: Call| global(call).bearer(ACCOUNT).header("token", ACCOUNT);
        let made = everywhere(api.call(method.parse().unwrap(), path));
        let made = made.json(&body).send().await;
        assert!(made.status < 300, "{made:?}");
        let gone = everywhere(api.call(reqwest::Method::DELETE, delete))
            .send()
            .await;
        assert!(gone.status < 300, "{gone:?}");
        let heard: String = app
            .value("select string_agg(event_type || ' ' || url, ', ' order by id) from postrider.webhook_queue")
            .await;
        assert_eq!(
            heard,
            "instance.create https://ops.example/hook, instance.delete https://ops.example/hook",
            "{path}"
        );
        app.sql("delete from postrider.webhook_queue").await;
    }
}

#[tokio::test]
async fn owners_cannot_turn_the_global_webhook_elsewhere() {
    let app = TestApp::start().await;
    app.sql("select postrider.set_global_webhook('https://ops.example/hook', '{messages.upsert}')")
        .await;
    for statement in [
        "select postrider.set_endpoint('shop', 'https://evil.example', 'WEBHOOK_GLOBAL', dialect => 'evolution')",
        "update postrider.endpoints set events = '{}'",
        "delete from postrider.endpoints",
        "select postrider.delete_endpoint(id) from postrider.endpoints",
    ] {
        let error = app.try_sql(statement).await.unwrap_err().to_string();
        assert!(
            error.contains("part of the global webhook"),
            "{statement}: {error}"
        );
    }
    // Nor are they shown it.
    let api = start(&app).await;
    let found = global(api.get("/webhook/find/shop")).send().await;
    assert_eq!(found.text, "null");
    // It goes with its instance, and changes with its configuration.
    app.sql("select postrider.set_global_webhook('https://ops.example/other', '{call}', true)")
        .await;
    let url: String = app
        .value("select url from postrider.endpoints where is_global")
        .await;
    assert_eq!(url, "https://ops.example/other");
    app.sql("select postrider.delete_instance('shop')").await;
    let left: i64 = app.value("select count(*) from postrider.endpoints").await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn the_start_is_told_to_those_who_want_it() {
    let app = TestApp::start().await;
    let wanting = app
        .endpoint("default")
        .dialect("evolution")
        .events(&["APPLICATION_STARTUP"])
        .create()
        .await;
    app.instance("quiet").await;
    app.sql("select postrider.set_endpoint('quiet', 'https://quiet.example', events => '{call}', dialect => 'evolution')").await;
    let _program = Program::start(&app, &[]);
    let told = wanting.receiver.wait_for(1).await[0].json();
    assert_eq!(
        (&told["event"], &told["instance"]),
        (&json!("application.startup"), &json!("shop"))
    );
    let events: i64 = app.value("select count(*) from postrider.events").await;
    assert_eq!(events, 1);
}
