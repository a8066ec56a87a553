//! `evolution.compat`: as version 2.3 behaves where its documents say otherwise.

use serde_json::json;

use super::{create, global, message};
use crate::support::app::TestApp;

#[tokio::test]
async fn names_are_looked_for_before_keys() {
    let app = TestApp::start().await;
    let api = app
        .api()
        .set("evolution.compat", "'evolution-2.3'")
        .start()
        .await;
    create(&api, "x").await;
    let unknown = api.get("/webhook/find/nobody").send().await;
    assert_eq!(
        message(&unknown, 404, "Not Found"),
        json!(["The \"nobody\" instance does not exist"])
    );
    message(
        &api.get("/webhook/find/x").send().await,
        401,
        "Unauthorized",
    );
    let taken = api
        .post("/instance/create")
        .json(&json!({"instanceName": "x"}))
        .send()
        .await;
    assert_eq!(
        message(&taken, 403, "Forbidden"),
        json!(["This name \"x\" is already in use."])
    );
    let free = api
        .post("/instance/create")
        .json(&json!({"instanceName": "y"}))
        .send()
        .await;
    message(&free, 401, "Unauthorized");
}

#[tokio::test]
async fn no_events_are_those_that_version_knows() {
    let app = TestApp::start().await;
    let stored = "select coalesce(cardinality(events), 0) from postrider.endpoints";
    let body = json!({"webhook": {"enabled": true, "url": "https://example.com", "events": []}});
    let ours = app.api().start().await;
    create(&ours, "x").await;
    global(ours.post("/webhook/set/x")).json(&body).send().await;
    assert_eq!(app.value::<i32>(stored).await, 0);
    let theirs = app
        .api()
        .set("evolution.compat", "'evolution-2.3'")
        .start()
        .await;
    let row = global(theirs.post("/webhook/set/x"))
        .json(&body)
        .send()
        .await
        .json();
    assert_eq!(row["events"].as_array().unwrap().len(), 31);
    assert_eq!(app.value::<i32>(stored).await, 31);
}
