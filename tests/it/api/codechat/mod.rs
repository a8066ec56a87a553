//! The API of `CodeChat` v2, called as its documentation shows it.

mod deliveries;
mod refusals;
mod webhooks;

use serde_json::{Value, json};

use crate::support::api::{ACCOUNT, Answered, TestApi};
use crate::support::app::{INSTANCE, TestApp};

/// The path of the instance's webhooks.
const WEBHOOKS: &str = "/api/v2/instance/shop/webhook";

/// The switches as the documentation lists them.
const SWITCHES: [&str; 19] = [
    "qrcodeUpdate",
    "stateInstance",
    "messagesSet",
    "messagesUpsert",
    "messagesUpdate",
    "sendMessage",
    "contactsSet",
    "contactsUpsert",
    "contactsUpdate",
    "presenceUpdate",
    "chatsSet",
    "chatsUpdate",
    "chatsUpsert",
    "chatsDelete",
    "groupsUpsert",
    "groupUpdate",
    "groupParticipantsUpdate",
    "connectionUpdate",
    "newJwt",
];

/// The APIs over a database, with an instance that may call this machine.
async fn start() -> (TestApp, TestApi) {
    let app = TestApp::start().await;
    let api = app.api();
    let api = api.set("egress.allow", "['127.0.0.0/8']").start().await;
    (app, api)
}

/// Makes a webhook, and answers with what was answered.
async fn create(api: &TestApi, body: &Value) -> Answered {
    api.post(WEBHOOKS).bearer(ACCOUNT).json(body).send().await
}

/// Makes a webhook that is on, and answers with its path.
async fn enabled(api: &TestApi, url: &str) -> String {
    let made = create(api, &json!({"name": "hook", "url": url, "enabled": true})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    format!("{WEBHOOKS}/{}", made.json()["webhookId"].as_str().unwrap())
}

/// The UUID of the instance.
async fn instance_uid(app: &TestApp) -> String {
    app.value(&format!(
        "select uid::text from postrider.instances where name = '{INSTANCE}'"
    ))
    .await
}

/// What an answer must be, but for its ids and times, which are taken from itself.
fn webhook(answer: &Value, expected: &Value, instance: &str, off: &[&str]) -> Value {
    let mut whole = expected.clone();
    for field in ["webhookId", "createdAt", "updatedAt"] {
        whole[field] = answer[field].clone();
    }
    whole["instanceInstanceId"] = json!(instance);
    let events = &mut whole["WebhookEvents"];
    for switch in SWITCHES {
        events[switch] = json!(!off.contains(&switch));
    }
    for field in ["webhookEventsId", "createdAt", "updatedAt"] {
        events[field] = answer["WebhookEvents"][field].clone();
    }
    whole
}
