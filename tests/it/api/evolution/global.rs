//! The global webhook, and what is told at the start: by the real program, configured by the names of Evolution API.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sqlx::ConnectOptions as _;

use super::{global, start};
use crate::support::api::{ACCOUNT, Call, TestApi};
use crate::support::app::TestApp;
use crate::support::receiver::{Answer, Receiver};
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
async fn an_instance_of_which_nobody_could_be_told_is_made_and_its_token_shown() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    app.sql("select postrider.set_global_webhook('https://ops.example/hook', '{instance.create}')")
        .await;
    app.sql(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = 'XX000'; end $$;
         create trigger refuse before insert on postrider.events for each row execute function refuse()",
    )
    .await;
    let native = api.post("/v1/instances").bearer(ACCOUNT);
    let native = native.json(&json!({"name": "one"})).send().await;
    assert_eq!(native.status, 201, "{native:?}");
    let token = native.json()["token"].as_str().unwrap().to_owned();
    let read = api.get("/v1/instances/one").bearer(&token).send().await;
    assert_eq!(read.status, 200, "{read:?}");
    let body = json!({"instanceName": "two", "integration": "WHATSAPP-BAILEYS"});
    let theirs = global(api.post("/instance/create"))
        .json(&body)
        .send()
        .await;
    assert_eq!(theirs.status, 201, "{theirs:?}");
    assert!(theirs.json()["hash"].is_string());
    let heard = "select count(*) from postrider.webhook_queue";
    assert_eq!(app.value::<i64>(heard).await, 0);
}

#[tokio::test]
async fn owners_cannot_turn_the_global_webhook_elsewhere() {
    let app = TestApp::start().await;
    app.sql("select postrider.set_global_webhook('https://ops.example/hook', '{messages.upsert}')")
        .await;
    for statement in [
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
    let error = app
        .try_sql("select postrider.set_endpoint('shop', 'https://evil.example', '(WEBHOOK_GLOBAL)', dialect => 'evolution')")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("endpoints_label_is_a_name"), "{error}");
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

/// An account with an instance: the tokens of both.
async fn tenant(api: &TestApi, account: &str, instance: &str) -> [String; 2] {
    let post = async |path: &str, token: &str, body: Value| {
        let made = api.post(path).bearer(token).json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()
    };
    let made = post("/v1/accounts", ACCOUNT, json!({"name": account})).await;
    let token = post("/v1/tokens", ACCOUNT, json!({"account": made["id"]})).await;
    let token = token["token"].as_str().unwrap().to_owned();
    let made = post("/v1/instances", &token, json!({"name": instance})).await;
    [token, made["token"].as_str().unwrap().to_owned()]
}

#[tokio::test]
async fn what_the_global_webhook_is_sent_is_the_operators_to_see_and_to_change() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let tokens = tenant(&api, "acme", "store").await;
    app.sql("select postrider.set_global_webhook('https://ops.example/hook', '{call}')")
        .await;
    let event: String = app
        .value("select postrider.emit('acme/store', 'call', '{}'::text)")
        .await;
    app.sql("select postrider.emit('acme/store', 'call', '{}'), postrider.emit('shop', 'call', '{}');
         update postrider.webhook_queue set status = 'failed', last_error = 'refused by ops.example' where id = (select min(id) from postrider.webhook_queue)")
        .await;
    let ids: Vec<i64> = app
        .value("select array_agg(id order by id) from postrider.webhook_queue")
        .await;
    let queue = "select string_agg(q::text, ' ' order by id) from postrider.webhook_queue q";
    let before: String = app.value(queue).await;
    for token in &tokens {
        let get = async |path: &str| {
            let answer = api.get(path).bearer(token).send().await;
            assert!(!answer.text.contains("ops.example"), "{path}: {answer:?}");
            answer
        };
        let post = async |path: &str, body: Value| {
            let asked = api.post(path).bearer(token).json(&body);
            asked.send().await
        };
        for path in ["/v1/deliveries", "/v1/dead-letters", "/v1/queue"] {
            let listed = get(path).await;
            assert_eq!(
                (listed.status, &listed.json()["items"]),
                (200, &json!([])),
                "{path}"
            );
        }
        let found = get(&format!("/v1/events/{event}")).await.json();
        assert_eq!(found["deliveries"], json!([]), "{found}");
        for id in &ids {
            let path = format!("/v1/deliveries/{id}");
            assert_eq!(get(&path).await.status, 404);
            for change in ["cancel", "resend"] {
                let path = format!("{path}/{change}");
                assert_eq!(post(&path, json!({})).await.status, 404, "{path}");
            }
        }
        for body in [json!({"all": true}), json!({"ids": ids})] {
            let moved = post("/v1/dead-letters/requeue", body.clone()).await.json();
            assert_eq!(moved, json!({"requeued": 0}), "{body}");
            let purged = post("/v1/dead-letters/purge", body.clone()).await.json();
            assert_eq!(purged, json!({"purged": 0}), "{body}");
        }
    }
    assert_eq!(app.value::<String>(queue).await, before);
    // The operators' own instance has a part of it too.
    let listed = api.get("/v1/deliveries").bearer(ACCOUNT).send().await;
    let listed = listed.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["url"], "https://ops.example/hook");
    let path = format!("/v1/deliveries/{}/cancel", listed["items"][0]["id"]);
    let cancelled = api
        .post(&path)
        .bearer(ACCOUNT)
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
}

#[tokio::test]
async fn tenants_are_told_nothing_of_how_the_global_webhook_fares() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let everybody = Receiver::start().await;
    everybody.answer(Answer::status(410));
    let [token, _] = tenant(&api, "acme", "store").await;
    let url = everybody.url();
    app.sql(&format!(
        "select postrider.set_global_webhook('{url}', '{{call}}');
         select postrider.set_endpoint('acme/store', 'https://store.example/', 'own', events => '{{postrider.delivery.exhausted}}', state => 'disabled');
         select postrider.emit('acme/store', 'call', '{{}}')"
    ))
    .await;
    let worker = app.worker().start().await;
    until("it is paused", PATIENCE, async || {
        parts(&app, "paused").await == 1
    })
    .await;
    app.emit("call", "{}").await;
    until(
        "the operators are told of their part",
        PATIENCE,
        async || {
            let told =
                "select count(*) from postrider.events where type = 'postrider.endpoint.disabled'";
            app.value::<i64>(told).await == 1
        },
    )
    .await;
    drop(worker);
    let listed = api.get("/v1/instances/store/events").bearer(&token);
    let listed = listed.send().await.json();
    let types = listed["items"].as_array().unwrap().iter();
    let types: Vec<_> = types.map(|event| &event["type"]).collect();
    assert_eq!(types, ["call"], "{listed}");
}

#[tokio::test]
async fn no_tenant_can_take_the_name_of_the_global_webhook() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let [token, _] = tenant(&api, "acme", "store").await;
    let make = async |label: &str| {
        let body = json!({"label": label, "dialect": "evolution", "url": "https://acme.example/"});
        let made = api
            .post("/v1/instances/store/endpoints")
            .bearer(&token)
            .json(&body);
        made.send().await
    };
    assert_eq!(make("WEBHOOK_GLOBAL").await.status, 201);
    assert_eq!(make("(WEBHOOK_GLOBAL)").await.status, 422);
    app.sql("select postrider.set_global_webhook('https://ops.example/hook', '{call}')")
        .await;
    assert_eq!(parts(&app, "enabled").await, 2);
    app.sql("select postrider.emit('acme/store', 'call', '{}')")
        .await;
    let urls: Vec<String> = app
        .value("select array_agg(url order by url) from postrider.webhook_queue")
        .await;
    assert_eq!(urls, ["https://acme.example/", "https://ops.example/hook"]);
}

#[tokio::test]
async fn the_global_webhook_hears_of_an_instance_by_one_name_to_the_last() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let everybody = Receiver::start().await;
    let [token, _] = tenant(&api, "acme", "store").await;
    app.sql(&format!(
        "select postrider.set_global_webhook('{}', '{{instance.create,instance.delete,remove.instance}}')",
        everybody.url()
    ))
    .await;
    let own = Receiver::start().await;
    let made = json!({"name": "kiosk"});
    let made = api.post("/v1/instances").bearer(&token).json(&made);
    assert_eq!(made.send().await.status, 201);
    app.sql(&format!(
        "select postrider.set_endpoint('acme/kiosk', '{}', events => '{{instance.delete}}', dialect => 'evolution')",
        own.url()
    ))
    .await;
    let worker = app.worker().start().await;
    everybody.wait_for(1).await;
    let gone = api.call(reqwest::Method::DELETE, "/v1/instances/kiosk");
    assert!(gone.bearer(&token).send().await.status < 300);
    for request in everybody.wait_for(3).await {
        assert_eq!(request.json()["instance"], "acme/kiosk", "{request:?}");
    }
    // Its owner calls it otherwise.
    assert_eq!(own.wait_for(1).await[0].json()["instance"], "kiosk");
    drop(worker);
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
