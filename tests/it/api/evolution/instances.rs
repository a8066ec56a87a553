//! Instances: made, listed, logged out, deleted.

use serde_json::{Value, json};

use super::{create, global, message, start};
use crate::support::api::TestApi;
use crate::support::app::TestApp;
use crate::support::receiver::Receiver;

/// DELETE with the global key.
async fn delete(api: &TestApi, path: &str) -> crate::support::api::Answered {
    global(api.call(reqwest::Method::DELETE, path)).send().await
}

#[tokio::test]
async fn the_documented_example_makes_an_instance_with_all_its_channels() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let receiver = Receiver::start().await;
    let made = global(api.post("/instance/create"))
        .json(&json!({
            "instanceName": "production-bot", "integration": "WHATSAPP-BAILEYS", "number": "5511999999999",
            "webhook": {"enabled": true, "url": receiver.url(), "byEvents": true, "base64": false,
                "headers": {"Authorization": "Bearer prod-token-123", "X-Instance": "production-bot"},
                "events": ["MESSAGES_UPSERT", "INSTANCE_CREATE"]},
            "rabbitmq": {"enabled": false, "events": ["MESSAGES_UPSERT", "SEND_MESSAGE"]},
            "websocket": {"enabled": true, "events": ["CONNECTION_UPDATE", "QRCODE_UPDATED"]},
            "pusher": {"enabled": true, "appId": "1", "key": "k", "secret": "s", "cluster": "us2", "useTLS": true},
        }))
        .send()
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let body = made.json();
    let id: String = app
        .value("select uid::text from postrider.instances where name = 'production-bot'")
        .await;
    assert_eq!(
        body["instance"],
        json!({"instanceName": "production-bot", "instanceId": id, "integration": "WHATSAPP-BAILEYS",
            "webhookWaBusiness": null, "accessTokenWaBusiness": "", "status": "created"})
    );
    assert_eq!(
        body["webhook"],
        json!({"webhookUrl": receiver.url(), "webhookByEvents": true, "webhookBase64": false,
            "webhookHeaders": {"Authorization": "Bearer prod-token-123", "X-Instance": "production-bot"}})
    );
    // To be there is to be enabled.
    assert_eq!(body["rabbitmq"], json!({"enabled": true}));
    assert_eq!(body["websocket"], json!({"enabled": true}));
    assert_eq!(
        (&body["sqs"], &body["pusher"]),
        (&json!({}), &json!({"enabled": true}))
    );
    let key = body["hash"].as_str().unwrap();
    let found = api
        .get("/rabbitmq/find/production-bot")
        .header("apikey", key)
        .send()
        .await;
    assert_eq!(
        found.json()["events"],
        json!(["MESSAGES_UPSERT", "SEND_MESSAGE"])
    );

    let worker = app.worker().start().await;
    app.drained().await;
    let request = &receiver.wait_for(1).await[0];
    assert!(
        request.path.ends_with("/instance-create"),
        "{}",
        request.path
    );
    assert_eq!(request.header("authorization"), "Bearer prod-token-123");
    let told = request.json();
    assert_eq!(
        (&told["event"], &told["sender"]),
        (
            &json!("instance.create"),
            &json!("5511999999999@s.whatsapp.net")
        )
    );
    assert_eq!(
        told["data"],
        json!({"instanceName": "production-bot", "instanceId": id})
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_key_may_be_brought_along_and_opens_only_its_own_instance() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "other").await;
    let made = global(api.post("/instance/create"))
        .json(&json!({"instanceName": "mine", "token": "my-own-key-of-the-crm"}))
        .send()
        .await;
    assert_eq!(made.json()["hash"], "my-own-key-of-the-crm");
    let list = api
        .get("/instance/fetchInstances")
        .header("apikey", "my-own-key-of-the-crm")
        .send()
        .await;
    let names: Vec<_> = list
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["mine"]);
    let list = api
        .get("/instance/fetchInstances?instanceName=other")
        .header("apikey", "my-own-key-of-the-crm")
        .send()
        .await;
    assert_eq!(list.json()[0]["name"], "mine");
    let refused = api
        .post("/instance/create")
        .header("apikey", "my-own-key-of-the-crm")
        .json(&json!({"instanceName": "third"}))
        .send()
        .await;
    message(&refused, 401, "Unauthorized");
}

#[tokio::test]
async fn instances_are_listed_with_what_is_known_of_them() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let key = create(&api, "a").await;
    create(&api, "b").await;
    let body = json!({"rabbitmq": {"enabled": true, "events": ["CALL"]}});
    global(api.post("/rabbitmq/set/a")).json(&body).send().await;
    let all = global(api.get("/instance/fetchInstances"))
        .send()
        .await
        .json();
    let names: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["shop", "a", "b"]);
    let one = global(api.get("/instance/fetchInstances?instanceName=a"))
        .send()
        .await
        .json();
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(
        (&one[0]["token"], &one[0]["integration"]),
        (&json!(key), &json!("WHATSAPP-BAILEYS"))
    );
    assert_eq!(one[0]["Rabbitmq"]["events"], json!(["CALL"]));
    assert_eq!(
        (&one[0]["Sqs"], &one[0]["connectionStatus"]),
        (&Value::Null, &json!("open"))
    );
    let unknown = global(api.get("/instance/fetchInstances?instanceName=zzz"))
        .send()
        .await;
    assert_eq!(
        message(&unknown, 404, "Not Found"),
        json!(["Instance \"zzz\" not found"])
    );
}

/// Bodies that make no instance, and how the answer begins.
fn impossible_instances() -> Vec<(Value, &'static str)> {
    vec![
        (json!({}), "instance requires property \"instanceName\""),
        (
            json!({"instanceName": ""}),
            "The \"instanceName\" cannot be empty",
        ),
        (
            json!({"instanceName": 7}),
            "instanceName is not of a type(s) string",
        ),
        (
            json!({"instanceName": "y", "integration": "TELEGRAM"}),
            "integration is not one of enum values",
        ),
        (
            json!({"instanceName": "y", "token": "my-own-key"}),
            "token does not match",
        ),
        (
            json!({"instanceName": "y", "number": "abc"}),
            "number does not match",
        ),
        (
            json!({"instanceName": "y", "webhook": {"events": []}}),
            "webhook requires property \"url\"",
        ),
        (
            json!({"instanceName": "y", "sqs": {"events": ["NO"]}}),
            "sqs.events[0] is not one of enum values",
        ),
    ]
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_block_that_is_wrong_make_nothing() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let again = global(api.post("/instance/create"))
        .json(&json!({"instanceName": "shop"}))
        .send()
        .await;
    assert_eq!(
        message(&again, 403, "Forbidden"),
        json!(["This name \"shop\" is already in use."])
    );
    for (body, expected) in impossible_instances() {
        let answer = global(api.post("/instance/create"))
            .json(&body)
            .send()
            .await;
        let said = message(&answer, 400, "Bad Request");
        assert!(said[0][0].as_str().unwrap().starts_with(expected), "{said}");
    }
    for name in ["a\u{0}b", "a\nb", " y ", &"y".repeat(300)] {
        let answer = global(api.post("/instance/create"))
            .json(&json!({"instanceName": name}))
            .send()
            .await;
        message(&answer, 400, "Bad Request");
    }
    let private = global(api.post("/instance/create"))
        .json(&json!({"instanceName": "y", "webhook": {"url": "http://192.168.0.1/"}}))
        .send()
        .await;
    assert!(
        message(&private, 400, "Bad Request")[0]
            .as_str()
            .unwrap()
            .starts_with("Invalid \"url\" property")
    );
    let instances: i64 = app.value("select count(*) from postrider.instances").await;
    assert_eq!(instances, 1);
    for name in [
        "ção 日本 \u{1F600}",
        "a/b?c#d%",
        "'; drop table postrider.instances; --",
        "<script>",
    ] {
        let key = create(&api, name).await;
        let path = percent(name);
        let found = api
            .get(&format!("/webhook/find/{path}"))
            .header("apikey", &key)
            .send()
            .await;
        assert_eq!((found.status, found.text.as_str()), (200, "null"), "{name}");
    }
}

/// As one segment of a path.
fn percent(text: &str) -> String {
    text.bytes()
        .fold(String::new(), |path, byte| path + &format!("%{byte:02X}"))
}

#[tokio::test]
async fn a_deleted_instance_is_gone_and_its_webhook_hears_of_it() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let receiver = Receiver::start().await;
    let key = create(&api, "x").await;
    global(api.post("/webhook/set/x"))
        .json(&json!({"webhook": {"enabled": true, "url": receiver.url(), "headers": {"jwt_key": "k3y"},
            "events": ["LOGOUT_INSTANCE", "INSTANCE_DELETE", "REMOVE_INSTANCE"]}}))
        .send()
        .await;
    let worker = app.worker().start().await;
    let out = delete(&api, "/instance/logout/x").await;
    assert_eq!(
        out.json(),
        json!({"status": "SUCCESS", "error": false, "response": {"message": "Instance logged out"}})
    );
    let state = global(api.get("/instance/connectionState/x")).send().await;
    assert_eq!(
        state.json(),
        json!({"instance": {"instanceName": "x", "state": "close"}})
    );
    let again = delete(&api, "/instance/logout/x").await;
    assert_eq!(
        message(&again, 400, "Bad Request"),
        json!(["The \"x\" instance is not connected"])
    );
    receiver.wait_for(1).await;

    let gone = delete(&api, "/instance/delete/x").await;
    assert_eq!(gone.json()["response"]["message"], "Instance deleted");
    let told = receiver.wait_for(3).await;
    app.drained().await;
    let mut news: Vec<_> = told
        .iter()
        .map(|request| request.json()["event"].clone())
        .collect();
    news.sort_by_key(ToString::to_string);
    assert_eq!(
        news,
        ["instance.delete", "logout.instance", "remove.instance"]
    );
    for request in &told {
        assert_eq!(request.json()["apikey"], key);
        let token = request
            .header("authorization")
            .strip_prefix("Bearer ")
            .unwrap();
        assert!(postrider::crypto::jwt::open(token, b"k3y").is_some());
    }
    let unknown = global(api.get("/webhook/find/x")).send().await;
    assert_eq!(
        message(&unknown, 404, "Not Found"),
        json!(["The \"x\" instance does not exist"])
    );
    let with_its_old_key = api
        .get("/webhook/find/x")
        .header("apikey", &key)
        .send()
        .await;
    message(&with_its_old_key, 401, "Unauthorized");
    app.finish([worker]).await;
}

#[tokio::test]
async fn connect_and_restart_answer_with_the_state() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    delete(&api, "/instance/logout/x").await;
    let open = json!({"instance": {"instanceName": "x", "state": "open"}});
    let connected = global(api.get("/instance/connect/x")).send().await;
    assert_eq!((connected.status, connected.json()), (200, open.clone()));
    let restarted = global(api.post("/instance/restart/x")).send().await;
    assert_eq!((restarted.status, restarted.json()), (200, open));
}
