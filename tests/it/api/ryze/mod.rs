//! The API of RyzeAPI, called as its documentation shows it.

mod bad_input;
mod door;
mod instance;
mod webhook;
mod websocket;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{ACCOUNT, Answered, TestApi};
use crate::support::app::TestApp;

/// The instance that most tests are about.
const INSTANCE: &str = "my-instance";
/// A key for secrets at rest.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// The APIs over a database of their own, with an instance made the RyzeAPI way.
struct Ryze {
    app: TestApp,
    api: TestApi,
    /// The instance's own token.
    token: String,
}

impl Ryze {
    /// With a key, so that secrets rest sealed.
    async fn start() -> Self {
        let app = TestApp::start().await;
        let api = app
            .api()
            .set("encryption.key", format!("'{KEY}'"))
            .start()
            .await;
        let token = new_instance(&api, INSTANCE).await;
        Self { app, api, token }
    }

    /// POST with the account's token.
    async fn post(&self, path: &str, body: &Value) -> Answered {
        let call = self.api.post(path).header("token", ACCOUNT);
        call.json(body).send().await
    }

    /// GET with the account's token.
    async fn get(&self, path: &str) -> Answered {
        self.api.get(path).header("token", ACCOUNT).send().await
    }

    /// DELETE with the account's token.
    async fn delete(&self, path: &str) -> Answered {
        let call = self.api.call(Method::DELETE, path);
        call.header("token", ACCOUNT).send().await
    }

    /// Sets a webhook; as it is kept.
    async fn webhook(&self, body: &Value) -> Value {
        let path = format!("/api/events/webhook/{INSTANCE}");
        let answer = self.post(&path, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["webhook"].clone()
    }

    /// All webhooks as they are shown.
    async fn webhooks(&self) -> Value {
        let answer = self
            .get(&format!("/api/events/getWebhook/{INSTANCE}"))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["webhooks"].clone()
    }
}

/// Makes an instance; its token.
async fn new_instance(api: &TestApi, name: &str) -> String {
    let call = api.post("/api/instance/new").header("token", ACCOUNT);
    let answer = call.json(&json!({ "name": name })).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["instance"]["token"].clone();
    token.as_str().unwrap().to_owned()
}

/// Asserts a failure of this status in this shape, with exactly this message.
#[track_caller]
fn failed(answer: &Answered, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["success"], false, "{answer:?}");
    assert_eq!(body["error"]["message"], message, "{answer:?}");
}
