//! The API of Evolution API: its documented requests as curl sends them, what is refused and how, and what is delivered.

mod channels;
mod compat;
mod doors;
mod global;
mod instances;
mod webhooks;

use serde_json::{Value, json};

use crate::support::api::{ACCOUNT, Answered, Call, TestApi};
use crate::support::app::TestApp;

/// The APIs, allowed to call what tests listen with.
async fn start(app: &TestApp) -> TestApi {
    app.api()
        .set("egress.allow", "['127.0.0.0/8']")
        .start()
        .await
}

/// With the global key.
fn global(call: Call) -> Call {
    call.header("apikey", ACCOUNT)
}

/// Makes an instance and answers with its key.
async fn create(api: &TestApi, name: &str) -> String {
    let made = global(api.post("/instance/create"))
        .json(&json!({"instanceName": name, "integration": "WHATSAPP-BAILEYS"}))
        .send()
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["hash"].as_str().unwrap().to_owned()
}

/// The message of a fault, which must have the shape it is documented with.
fn message(answer: &Answered, status: u16, error: &str) -> Value {
    let body = answer.json();
    assert_eq!(answer.status, status, "{answer:?}");
    let keys: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error", "response", "status"], "{body}");
    assert_eq!(
        (&body["status"], &body["error"]),
        (&json!(status), &json!(error))
    );
    body["response"]["message"].clone()
}
