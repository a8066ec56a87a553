//! Pages of other origins.

use reqwest::Method;

use crate::support::api::{ACCOUNT, TestApi};
use crate::support::app::TestApp;

const PAGE: &str = "https://panel.example.com";

/// The APIs, with this list.
async fn listing(origins: &str) -> TestApi {
    let app = TestApp::start().await;
    app.api().set("http.cors_origins", origins).start().await
}

#[tokio::test]
async fn a_listed_page_is_answered_before_it_asks_and_may_read_the_answer() {
    let api = listing("['https://panel.example.com']").await;
    let asked = api
        .call(Method::OPTIONS, "/api/instance/list")
        .header("origin", PAGE)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "token")
        .send()
        .await;
    assert_eq!(asked.status, 204, "{asked:?}");
    assert_eq!(asked.header("access-control-allow-origin"), PAGE);
    for header in ["content-type", "authorization", "token"] {
        let allowed = asked.header("access-control-allow-headers");
        assert!(allowed.contains(header), "{allowed}");
    }
    let got = api.get("/api/instance/list").header("origin", PAGE);
    let got = got.header("token", ACCOUNT).send().await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("access-control-allow-origin"), PAGE);
    assert_eq!(got.header("access-control-allow-credentials"), "");
    assert_eq!(got.header("vary"), "origin");
    // Also where it has to read why not.
    let refused = api.get("/api/instance/list").header("origin", PAGE);
    let refused = refused.send().await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), PAGE);
}

#[tokio::test]
async fn a_page_that_is_not_listed_may_read_nothing_and_callers_without_an_origin_are_answered() {
    for origins in ["[]", "['https://panel.example.com']"] {
        let api = listing(origins).await;
        for origin in [
            "https://evil.example",
            "null",
            "https://panel.example.com.evil.example",
        ] {
            let got = api.get("/api/instance/list").header("origin", origin);
            let got = got.header("token", ACCOUNT).send().await;
            assert_eq!(got.header("access-control-allow-origin"), "", "{origin}");
            let asked = api.call(Method::OPTIONS, "/api/instance/list");
            let asked = asked.header("origin", origin);
            let asked = asked.header("access-control-request-method", "GET");
            assert_eq!(asked.send().await.status, 405, "{origin}");
        }
        let got = api.get("/api/instance/list").header("token", ACCOUNT);
        assert_eq!(got.send().await.status, 200);
    }
}
