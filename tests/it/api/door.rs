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
