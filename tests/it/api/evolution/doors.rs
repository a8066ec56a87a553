//! Who is let in, and what those hear who are not.

use serde_json::json;

use super::{create, global, message, start};
use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;

/// Every route for an instance, as method and path.
fn routes(name: &str) -> Vec<(reqwest::Method, String)> {
    let mut routes = Vec::new();
    for channel in ["webhook", "websocket", "rabbitmq", "sqs", "pusher"] {
        routes.push((reqwest::Method::POST, format!("/{channel}/set/{name}")));
        routes.push((reqwest::Method::GET, format!("/{channel}/find/{name}")));
    }
    for (method, verb) in [
        (reqwest::Method::GET, "connectionState"),
        (reqwest::Method::GET, "connect"),
        (reqwest::Method::POST, "restart"),
        (reqwest::Method::DELETE, "logout"),
        (reqwest::Method::DELETE, "delete"),
    ] {
        routes.push((method, format!("/instance/{verb}/{name}")));
    }
    routes
}

#[tokio::test]
async fn without_a_good_key_every_name_is_answered_alike() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let other = create(&api, "other").await;
    create(&api, "mine").await;
    let before: i64 = app.value("select count(*) from postrider.instances").await;
    for name in ["mine", "nobody"] {
        for (method, path) in routes(name) {
            // A body of which everything is wrong: the key comes first.
            let call = || api.call(method.clone(), &path).json(&json!([1]));
            for answer in [
                call().send().await,
                call().header("apikey", "wrong").send().await,
                call().header("apikey", "").send().await,
                call().header("apikey", &other).send().await,
                call().header("apikey", "BQYHJGJHJ").send().await,
                call().bearer(ACCOUNT).send().await,
                call().header("apikey", &"x".repeat(5000)).send().await,
            ] {
                assert_eq!(
                    message(&answer, 401, "Unauthorized"),
                    json!("Unauthorized"),
                    "{path}"
                );
            }
        }
    }
    let create = api
        .post("/instance/create")
        .json(&json!({"instanceName": "mine"}));
    message(
        &create.header("apikey", "wrong").send().await,
        401,
        "Unauthorized",
    );
    message(
        &api.get("/instance/fetchInstances").send().await,
        401,
        "Unauthorized",
    );
    let after: i64 = app.value("select count(*) from postrider.instances").await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_global_key_is_told_that_there_is_no_such_instance() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    for (method, path) in routes("x%22y") {
        let answer = global(api.call(method, &path))
            .json(&json!({}))
            .send()
            .await;
        assert_eq!(
            message(&answer, 404, "Not Found"),
            json!(["The \"x\"y\" instance does not exist"])
        );
    }
}

#[tokio::test]
async fn another_accounts_instances_are_out_of_reach() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    app.sql("insert into postrider.accounts (id, name) values (77, 'others')")
        .await;
    app.instance("theirs").await;
    app.sql("update postrider.instances set account_id = 77 where name = 'theirs'")
        .await;
    for (method, path) in routes("theirs") {
        let answer = global(api.call(method, &path))
            .json(&json!({}))
            .send()
            .await;
        message(&answer, 404, "Not Found");
    }
    let list = global(api.get("/instance/fetchInstances")).send().await;
    assert!(!list.text.contains("theirs"), "{}", list.text);
    let left: i64 = app
        .value("select count(*) from postrider.instances where name = 'theirs'")
        .await;
    assert_eq!(left, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_its_shape() {
    let app = TestApp::start().await;
    let api = app.api().set("http.body_bytes_max", 2048).start().await;
    create(&api, "x").await;
    for path in [
        "/webhook/set/x",
        "/rabbitmq/set/x",
        "/pusher/set/x",
        "/instance/create",
    ] {
        let post = || global(api.post(path));
        let malformed = post()
            .body("application/json", "{\"webhook\": {")
            .send()
            .await;
        message(&malformed, 400, "Bad Request");
        let not_json = post().body("text/plain", "hello").send().await;
        message(&not_json, 415, "Unsupported Media Type");
        let large = post()
            .body("application/json", vec![b' '; 4096])
            .send()
            .await;
        message(&large, 413, "Payload Too Large");
        let deep = post()
            .body("application/json", "[".repeat(1000))
            .send()
            .await;
        message(&deep, 400, "Bad Request");
        let method = global(api.call(reqwest::Method::PATCH, path)).send().await;
        assert_eq!(
            message(&method, 405, "Method Not Allowed"),
            json!([format!("Cannot PATCH {path}")])
        );
    }
    let nowhere = global(api.get("/webhook/nothing/x")).send().await;
    assert_eq!(
        message(&nowhere, 404, "Not Found"),
        json!(["Cannot GET /webhook/nothing/x"])
    );
    let bad_path = global(api.get("/webhook/find/%FF")).send().await;
    message(&bad_path, 400, "Bad Request");
    let nul = global(api.get("/webhook/find/a%00b")).send().await;
    message(&nul, 404, "Not Found");
}
