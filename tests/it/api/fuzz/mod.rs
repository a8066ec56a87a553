//! Requests that nobody thought of, made up from the OpenAPI document: no 5xx, and no answer that is not described there.

use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::time::sleep;

use serde_json::json;

use crate::support::api::{ACCOUNT, TestApi};
use crate::support::app::TestApp;
use crate::support::python::Python;

/// What is known to understand our arguments.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Requests of each route. A longer hunt: `FUZZ_EXAMPLES=2000 cargo test --test it fuzz`.
const EXAMPLES: &str = "8";

/// Makes requests up that name what is there: nearly all would end at "there is no such instance" otherwise.
const HOOKS: &str = include_str!("hooks.py");

#[tokio::test(flavor = "multi_thread")]
async fn made_up_requests_of_an_account_find_no_server_error_and_no_undocumented_answer() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    hunt(&app, &api, ACCOUNT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_requests_of_one_instance_find_no_server_error_and_no_undocumented_answer() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let made = api.post("/v1/tokens").bearer(ACCOUNT);
    let made = made.json(&json!({"instance": "shop"})).send().await.json();
    hunt(&app, &api, made["token"].as_str().unwrap()).await;
}

/// Makes requests up for every route of every dialect, with this token in all places that one is looked for in.
async fn hunt(app: &TestApp, api: &TestApi, token: &str) {
    let Some(python) = Python::with_or_skipped(&[SCHEMATHESIS]).await else {
        return;
    };
    let mut schemathesis = python.program("schemathesis");
    let examples = std::env::var("FUZZ_EXAMPLES").unwrap_or_else(|_| EXAMPLES.into());
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("hooks.py"), HOOKS).unwrap();
    let url = format!("http://{}", api.address);
    schemathesis
        .args(["run", &format!("{url}/openapi.json")])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", &examples, "--seed", "1", "--workers", "1"])
        .args(["--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off", "--request-timeout", "60"])
        .args(["-H", &format!("Authorization: Bearer {token}"), "-H", &format!("apikey: {token}"), "-H", &format!("token: {token}")])
        .envs([("FUZZ_URL", url.as_str()), ("FUZZ_ACCOUNT", ACCOUNT), ("FUZZ_TOKEN", token)])
        .envs([("SCHEMATHESIS_HOOKS", "hooks"), ("PYTHONDONTWRITEBYTECODE", "1")])
        .current_dir(place.path())
        .stdin(Stdio::null());
    let mut hunting = pin!(schemathesis.output());
    let output = loop {
        tokio::select! {
            output = &mut hunting => break output.unwrap(),
            // Nobody is to be turned away for coming too often.
            () = sleep(Duration::from_millis(200)) => {
                app.sql("delete from postrider.request_counts").await;
            }
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let shown: String = said.chars().take(20_000).collect();
    assert!(
        output.status.success(),
        "{shown}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
