//! What all routes have in common, before any of them does its work.

use crate::support::app::TestApp;

#[tokio::test]
async fn an_unknown_path_is_answered_in_the_shape_of_its_dialect() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let answer = api.get("/v1/nothing").send().await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["code"], "no_such_route");
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn a_requests_own_id_is_kept_where_it_is_usable() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let mine = api
        .get("/v1/x")
        .header("x-request-id", "order-17")
        .send()
        .await;
    assert_eq!(mine.header("x-request-id"), "order-17");
    let other = api.get("/v1/x").header("x-request-id", "a b").send().await;
    assert_eq!(other.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn the_reference_has_every_route_and_fetches_nothing() {
    let app = TestApp::start().await;
    let api = app.api().start().await;
    let document = api.get("/openapi.json").send().await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let page = api.get("/docs").send().await;
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(
            page.text.contains(&format!("</b>{path}</h3>")),
            "{path} is not on the page"
        );
    }
    for fetched in ["<script", "<link", "<img", "@import", "url("] {
        assert!(!page.text.contains(fetched), "the page has {fetched}");
    }
}

#[tokio::test]
async fn everything_in_the_document_is_explained() {
    let document = serde_json::to_value(postrider::http::api::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(
                operation["summary"].is_string(),
                "{what} says not what it does"
            );
            assert!(
                operation["tags"][0].is_string(),
                "{what} belongs to no group"
            );
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{what} has no success"
            );
            assert!(
                responses.len() > 3,
                "{what} says not what else it may answer"
            );
        }
    }
}
