//! Requests that nobody thought of, made up from the OpenAPI document: no 5xx, and no answer that is not described there.

use std::process::Stdio;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::schemathesis::schemathesis_or_skipped;

/// Requests of each route. A longer hunt: `FUZZ_EXAMPLES=2000 cargo test --test it fuzz`.
const EXAMPLES: &str = "15";

#[tokio::test(flavor = "multi_thread")]
async fn made_up_requests_find_no_server_error_and_no_undocumented_answer() {
    let Some(mut schemathesis) = schemathesis_or_skipped() else {
        return;
    };
    let app = TestApp::start().await;
    app.endpoint("shop").create().await;
    app.emit("order.paid", "{}").await;
    let api = app.api().start().await;
    let examples = std::env::var("FUZZ_EXAMPLES").unwrap_or_else(|_| EXAMPLES.into());
    let reports = tempfile::tempdir().unwrap();
    schemathesis
        .args(["run", &format!("http://{}/openapi.json", api.address)])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", &examples, "--seed", "1", "--workers", "2"])
        .args(["--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off"])
        .args(["-H", &format!("Authorization: Bearer {ACCOUNT}"), "-H", &format!("apikey: {ACCOUNT}"), "-H", &format!("token: {ACCOUNT}")])
        .current_dir(reports.path())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || schemathesis.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
