//! Our own door: where a stream begins, and where it goes on.

use super::raw::{CLOSE, PING, PONG, Request};
use super::sidecar::{sidecar, sidecar_with};
use super::{STREAM, emit};
use crate::support::app::TestApp;
use crate::support::document;

#[tokio::test(flavor = "multi_thread")]
async fn events_come_on_a_socket_and_go_on_after_a_cursor() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let (mut client, head) = Request::to(STREAM).upgrade(sidecar.address).await;
    assert_eq!(head.status, 101);
    let accept = head.header("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let position = client.message().await;
    assert_eq!(position["recovered"], true);
    emit(&app, 1).await;
    emit(&app, 2).await;
    let first = client.message().await;
    assert_eq!(first["type"], "order.paid");
    assert_eq!(first["data"]["n"], 1);
    let second = client.message().await;
    client.send(PING, b"hello").await;
    assert_eq!(client.frame().await, (PONG, b"hello".to_vec()));
    client.send(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(client.frame().await.0, CLOSE);
    emit(&app, 3).await;
    let cursor = first["cursor"].as_str().unwrap();
    let path = format!("{STREAM}?cursor={cursor}");
    let mut client = Request::to(&path).socket(&sidecar).await;
    client.message().await;
    assert_eq!(client.message().await["id"], second["id"]);
    assert_eq!(client.message().await["data"]["n"], 3);
    emit(&app, 4).await;
    assert_eq!(client.message().await["data"]["n"], 4);
    // Another process knows nothing of the ring: the table answers.
    let other = self::sidecar(&app).await;
    let mut client = Request::to(&path).socket(&other).await;
    assert_eq!(client.numbers(3).await, [2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_server_sent_events() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    emit(&app, 1).await;
    let path = format!("{STREAM}?from=earliest");
    let (mut client, head) = Request::to(path).get(sidecar.address).await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(client.sse().await.event, "position");
    assert_eq!(client.sse().await.json()["data"]["n"], 1);
    emit(&app, 2).await;
    assert_eq!(client.sse().await.json()["data"]["n"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_takes_what_the_openapi_document_says_and_answers_as_it_says() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let document = document::document();
    let described = &document["paths"][document::STREAM]["get"];
    assert!(described["responses"]["101"].is_object(), "{described}");
    let body = &described["responses"]["200"]["content"];
    let (_, head) = Request::to(STREAM).get(sidecar.address).await;
    let kind = head.header("content-type").unwrap();
    assert!(body[kind].is_object(), "{kind}: {body}");
    let mut places = 0;
    for parameter in described["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        let (path, header) = match parameter["in"].as_str().unwrap() {
            "query" => (format!("{STREAM}?{name}=%20no%20"), None),
            "header" => (STREAM.to_owned(), Some(name)),
            _ => continue,
        };
        let mut request = Request::to(path);
        if let Some(name) = header {
            request = request.header(name, "nonsense");
        }
        let status = request.get(sidecar.address).await.1.status;
        // Any text is a type, and beside a bearer the query's token does not count.
        let expected = if ["events", "token"].contains(&name) {
            200
        } else {
            places += 1;
            400
        };
        assert_eq!(status, expected, "{name}");
        assert!(described["responses"][status.to_string()].is_object());
    }
    assert_eq!(places, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_given_a_problem_as_the_openapi_document_describes_it_with_the_requests_id()
 {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "origins = ['https://a.example']").await;
    let document = document::document();
    let required = &document["components"]["schemas"]["Problem"]["required"];
    let required = required.as_array().unwrap();
    let none = "/v1/instances/none/stream";
    let elsewhere = Request::to(STREAM).header("Origin", "https://b.example");
    for (request, status, code) in [
        (Request::to(format!("{STREAM}?form=x")), 400, "malformed"),
        (Request::to(STREAM).nobody(), 401, "invalid_token"),
        (elsewhere, 403, "origin_not_allowed"),
        (Request::to(none), 404, "instance_not_found"),
    ] {
        let request = request.header("X-Request-Id", "order-17");
        let (mut client, head) = request.upgrade(sidecar.address).await;
        assert_eq!(head.status, status, "{code}");
        assert_eq!(
            head.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(head.header("x-request-id"), Some("order-17"), "{code}");
        let problem: serde_json::Value = serde_json::from_slice(&client.body(&head).await).unwrap();
        assert_eq!(
            (&problem["code"], &problem["request_id"]),
            (&code.into(), &"order-17".into())
        );
        for field in required {
            assert!(
                !problem[field.as_str().unwrap()].is_null(),
                "{field}: {problem}"
            );
        }
    }
    let (_, head) = Request::to(STREAM).upgrade(sidecar.address).await;
    assert_eq!(head.status, 101);
    assert_eq!(head.header("x-request-id").unwrap().len(), 36);
    let (_, head) = Request::to("/ws/none").get(sidecar.address).await;
    assert!(head.header("x-request-id").is_some(), "{head:?}");
}
