//! Instances: made, listed, deleted.

use serde_json::json;

use super::{INSTANCE, Ryze, failed, new_instance};

#[tokio::test]
async fn an_instance_is_made_with_its_webhook_and_its_websocket() {
    let ryze = Ryze::start().await;
    let body = json!({
        "name": "second", "token": "a-token-of-my-own-choice",
        "webhookEnabled": true, "webhookURL": "https://app.example.com/wh", "webhookAuthorization": "Bearer abc",
        "webhookByEvents": true, "webhookEvents": ["message.exchange"], "webhookMediaBase64": true,
        "websocketEnabled": true, "websocketEvents": ["call.update"], "websocketMediaBase64": true
    });
    let answer = ryze.post("/api/instance/new", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let made = answer.json();
    assert_eq!(made["success"], true);
    assert_eq!(made["instance"]["name"], "second");
    assert_eq!(made["instance"]["token"], "a-token-of-my-own-choice");
    assert_eq!(made["data"]["token"], "a-token-of-my-own-choice");
    let webhook = json!({
        "label": "default", "enabled": true, "url": "https://app.example.com/wh", "authorization": "Bearer abc", "byEvents": true,
        "events": ["message.exchange"], "mediaBase64": true
    });
    let websocket = json!({ "enabled": true, "events": ["call.update"], "mediaBase64": true });
    assert_eq!(
        (&made["webhook"], &made["websocket"]),
        (&webhook, &websocket)
    );
    // Its token is good at once, and shows what was made.
    let read = ryze.api.get("/api/events/getWebhook/second?label=");
    let read = read
        .header("token", "a-token-of-my-own-choice")
        .send()
        .await;
    assert_eq!(read.json()["webhook"], webhook);
    let read = ryze.get("/api/events/getWebsocket/second").await;
    assert_eq!(read.json()["websocket"], websocket);
}

#[tokio::test]
async fn a_block_that_cannot_be_set_does_not_undo_the_instance() {
    let ryze = Ryze::start().await;
    let body = json!({
        "name": "second",
        "webhookEnabled": true, "webhookURL": "http://169.254.169.254/",
        "websocketEnabled": true, "websocketEvents": ["no.such.event"]
    });
    let made = ryze.post("/api/instance/new", &body).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.json()["webhook"], json!({ "enabled": false }));
    assert_eq!(made.json()["websocket"], json!({ "enabled": false }));
    let webhooks = ryze.get("/api/events/getWebhook/second").await;
    assert_eq!(webhooks.json()["webhooks"], json!([]));
    // Blocks that nobody asked for are absent.
    let plain = ryze
        .post("/api/instance/new", &json!({ "name": "third" }))
        .await
        .json();
    assert_eq!((plain.get("webhook"), plain.get("websocket")), (None, None));
}

#[tokio::test]
async fn more_instances_than_the_account_may_have_are_refused() {
    let ryze = Ryze::start().await;
    ryze.app
        .sql("update postrider.accounts set instances_max = 3")
        .await;
    let body = |name: &str| json!({ "name": name });
    assert_eq!(
        ryze.post("/api/instance/new", &body("third")).await.status,
        200
    );
    failed(
        &ryze.post("/api/instance/new", &body("fourth")).await,
        403,
        "Account instance quota exceeded",
    );
    failed(
        &ryze
            .post("/api/events/webhook/fourth", &json!({ "enabled": false }))
            .await,
        404,
        "Instance not found",
    );
}

#[tokio::test]
async fn instances_are_listed_as_far_as_the_token_reaches() {
    let ryze = Ryze::start().await;
    let second = new_instance(&ryze.api, "second").await;
    let names = async |path: &str, token: &str| -> Vec<String> {
        let answer = ryze.api.get(path).header("token", token).send().await;
        assert_eq!(answer.json()["success"], true, "{answer:?}");
        let instances = answer.json()["instances"].clone();
        let instances = instances.as_array().unwrap().iter();
        instances
            .map(|instance| instance["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let account = crate::support::api::ACCOUNT;
    assert_eq!(
        names("/api/instance/list", account).await,
        ["shop", INSTANCE, "second"]
    );
    assert_eq!(
        names("/api/instance/list?instanceName=", account).await,
        ["shop", INSTANCE, "second"]
    );
    assert_eq!(
        names("/api/instance/list?instanceName=second", account).await,
        ["second"]
    );
    assert!(
        names("/api/instance/list?instanceName=nobody", account)
            .await
            .is_empty()
    );
    assert_eq!(names("/api/instance/list", &second).await, ["second"]);
    assert!(
        names("/api/instance/list?instanceName=my-instance", &second)
            .await
            .is_empty()
    );
    let listed = ryze.get("/api/instance/list?instanceName=second").await;
    let listed = listed.json()["instances"][0].clone();
    assert_eq!(listed["token"], second);
    assert_eq!(
        listed["connection"],
        json!({ "state": "disconnected", "numberJid": null })
    );
}

#[tokio::test]
async fn an_instance_is_deleted_and_its_token_is_worth_nothing_then() {
    let ryze = Ryze::start().await;
    ryze.webhook(&json!({ "enabled": true, "url": "https://app.example.com/" }))
        .await;
    let path = format!("/api/instance/delete/{INSTANCE}");
    let call = ryze.api.call(reqwest::Method::DELETE, &path);
    let answer = call.header("token", &ryze.token).send().await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            200,
            json!({ "success": true, "message": "Instance deleted successfully" })
        )
    );
    failed(&ryze.delete(&path).await, 404, "Instance not found");
    let read = ryze.api.get("/api/instance/list");
    failed(
        &read.header("token", &ryze.token).send().await,
        401,
        "Invalid token",
    );
}
