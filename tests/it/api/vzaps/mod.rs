//! The API of `VZaps`, called as its documentation shows it.

mod instances;
mod logs;
mod refusals;
mod sdk;
mod webhooks;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::api::{ACCOUNT, Answered, Call, TestApi};
use crate::support::app::{INSTANCE, TestApp};

/// The public half of the account's client credentials.
const CLIENT: &str = "vz_client";

/// The secret half.
const SECRET: &str = "the-client-secret-of-the-tests";

/// The APIs over a database, with client credentials of the account `default`, whose instances may call this machine.
async fn start() -> (TestApp, TestApi) {
    let app = TestApp::start().await;
    credentials(&app, "default", CLIENT, SECRET).await;
    let api = app.api();
    let api = api.set("egress.allow", "['127.0.0.0/8']").start().await;
    (app, api)
}

/// Makes client credentials for an account.
pub(super) async fn credentials(app: &TestApp, account: &str, client: &str, secret: &str) {
    sqlx::query(
        "insert into postrider.tokens (account_id, kind, client_id, digest)
         select id, 'client', $2, sha256(convert_to($3, 'UTF8')) from postrider.accounts where name = $1",
    )
    .bind(account)
    .bind(client)
    .bind(secret)
    .execute(app.pool())
    .await
    .unwrap();
}

/// Exchanges client credentials, and answers with the access token.
async fn access(api: &TestApi, client: &str, secret: &str) -> String {
    let body = json!({"client_token": client, "client_secret": secret});
    let answer = api.post("/token").json(&body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// The `VZ…` id and the token of an instance.
async fn ids(app: &TestApp, instance: &str) -> (String, String) {
    let row = sqlx::query("select vzaps_id, token from postrider.instances where name = $1")
        .bind(instance)
        .fetch_one(app.pool())
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

/// The path of the webhook of the instance that is there from the beginning.
async fn webhook(app: &TestApp) -> String {
    format!("/instances/{}/webhook", ids(app, INSTANCE).await.0)
}

/// A request with the account's own token, which is as good as an access token.
fn call(api: &TestApi, method: Method, path: &str) -> Call {
    api.call(method, path).bearer(ACCOUNT)
}

/// A POST with the account's own token.
async fn post(api: &TestApi, path: &str, body: &Value) -> Answered {
    call(api, Method::POST, path).json(body).send().await
}

/// What is in the envelope of an answer that went well.
fn data(answer: &Answered) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut body = answer.json();
    let data = body["data"].take();
    assert_eq!(body, json!({"code": 200, "success": true, "data": null}));
    data
}
