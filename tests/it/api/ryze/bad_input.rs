//! What cannot be accepted is told in RyzeAPI's shape, with what to do, and changes nothing.

use serde_json::{Value, json};

use super::{INSTANCE, Ryze, failed};
use crate::support::api::ACCOUNT;

/// Texts that others have tripped over.
const ODD: [&str; 7] = [
    "'; drop table postrider.endpoints; --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a\u{0}b",
    "\u{202e}\u{1f980}é",
    "${jndi:ldap://x}",
    "a\r\nx-injected: 1",
];

/// A webhook with nothing wrong.
fn good() -> Value {
    json!({ "enabled": true, "url": "https://app.example.com/", "authorization": "Bearer abc", "events": ["call.update"] })
}

/// What is wrong with one value each, and a part of what is said of it.
fn bad_values() -> Vec<(Value, &'static str)> {
    let long_url = format!("https://app.example.com/{}", "x".repeat(2048));
    let mut bad = bad_types();
    bad.extend([
        (
            json!({ "label": "a".repeat(51) }),
            "label too long (max 50 chars)",
        ),
        (
            json!({ "label": "a b" }),
            "label may only contain letters, digits, underscore or dash",
        ),
        (json!({ "url": null }), "url: it is empty"),
        (json!({ "url": "" }), "url: it is empty"),
        (json!({ "url": "not a url" }), "url: it has spaces"),
        (
            json!({ "url": "app.example.com/x" }),
            "url: it is not a URL",
        ),
        (
            json!({ "url": "ftp://app.example.com/" }),
            "only http and https",
        ),
        (
            json!({ "url": "file:///etc/passwd" }),
            "only http and https",
        ),
        (json!({ "url": long_url }), "longer than 2048"),
        (json!({ "url": "http://127.0.0.1/" }), "egress.allow"),
        (json!({ "url": "http://localhost:8080/" }), "egress.allow"),
        (json!({ "url": "http://[::1]/" }), "egress.allow"),
        (
            json!({ "url": "http://169.254.169.254/latest/meta-data" }),
            "egress.allow",
        ),
        (json!({ "url": "http://2130706433/" }), "egress.allow"),
        (
            json!({ "authorization": "a\r\nx: y" }),
            "authorization has characters",
        ),
        (
            json!({ "authorization": "x".repeat(4097) }),
            "authorization is longer than 4096",
        ),
        (
            json!({ "events": ["no.such.event"] }),
            "there is no event \"no.such.event\"; events may contain message.exchange",
        ),
        (
            json!({ "events": ["MESSAGES_UPSERT"] }),
            "there is no event",
        ),
        (
            json!({ "events": vec!["call.update"; 101] }),
            "events has 101 entries",
        ),
    ]);
    bad
}

/// The same of types.
fn bad_types() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({ "enabled": "true" }),
            "Invalid request body: enabled: invalid type",
        ),
        (
            json!({ "enabled": null }),
            "Invalid request body: enabled: invalid type",
        ),
        (
            json!({ "url": 7 }),
            "Invalid request body: url: invalid type",
        ),
        (
            json!({ "authorization": { "a": 1 } }),
            "Invalid request body: authorization: invalid type",
        ),
        (
            json!({ "events": "call.update" }),
            "Invalid request body: events: invalid type",
        ),
        (
            json!({ "events": [7] }),
            "Invalid request body: events[0]: invalid type",
        ),
        (
            json!({ "byEvents": 1 }),
            "Invalid request body: byEvents: invalid type",
        ),
        (
            json!({ "mediaBase64": "yes" }),
            "Invalid request body: mediaBase64: invalid type",
        ),
        (
            json!({ "label": 1 }),
            "Invalid request body: label: invalid type",
        ),
    ]
}

/// Sends a body to the route that sets webhooks; its message.
async fn refused(ryze: &Ryze, body: &Value) -> String {
    let path = format!("/api/events/webhook/{INSTANCE}");
    let answer = ryze.post(&path, body).await;
    assert_eq!(answer.status, 400, "{body}: {answer:?}");
    assert_eq!(answer.json()["success"], false, "{answer:?}");
    let error = answer.json()["error"].clone();
    let message = error["message"].as_str().unwrap().to_owned();
    match error["details"].as_str() {
        Some(details) => format!("{message}: {details}"),
        None => message,
    }
}

#[tokio::test]
async fn a_webhook_with_a_bad_value_is_refused_with_what_to_do_and_nothing_changes() {
    let ryze = Ryze::start().await;
    let good = good();
    ryze.webhook(&good).await;
    let before = ryze.webhooks().await;
    for (change, expected) in bad_values() {
        let mut body = good.clone();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let message = refused(&ryze, &body).await;
        assert!(message.contains(expected), "{change}: {message}");
        assert_eq!(ryze.webhooks().await, before, "{change}");
    }
}

#[tokio::test]
async fn odd_texts_are_refused_or_kept_as_they_are_and_change_nothing_else() {
    let ryze = Ryze::start().await;
    let good = good();
    ryze.webhook(&good).await;
    let before = ryze.webhooks().await;
    for odd in ODD {
        for name in ["label", "url", "authorization"] {
            let mut body = good.clone();
            body[name] = odd.into();
            // What may stand in a header may stand in this one.
            if name == "authorization" && http::HeaderValue::from_str(odd).is_ok() {
                assert_eq!(ryze.webhook(&body).await["authorization"], odd);
                ryze.webhook(&good).await;
                continue;
            }
            refused(&ryze, &body).await;
        }
        let mut body = good.clone();
        body["events"] = json!([odd]);
        refused(&ryze, &body).await;
        assert_eq!(ryze.webhooks().await, before, "{odd:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_on_every_route_that_takes_one() {
    let ryze = Ryze::start().await;
    for path in [
        format!("/api/events/webhook/{INSTANCE}"),
        format!("/api/events/websocket/{INSTANCE}"),
        "/api/instance/new".to_owned(),
    ] {
        for body in [
            "",
            "{",
            "nonsense",
            "[]",
            "7",
            "null",
            "\"x\"",
            "{} {}",
            "{\"enabled\":true,}",
        ] {
            let call = ryze.api.post(&path).header("token", ACCOUNT);
            let answer = call.body("application/json", body).send().await;
            failed(&answer, 400, "Invalid request body");
            let details = answer.json()["error"]["details"].clone();
            assert!(details.as_str().unwrap().len() > 10, "{answer:?}");
        }
        let call = ryze.api.post(&path).header("token", ACCOUNT);
        let answer = call.body("application/json", vec![0xff, 0xfe]).send().await;
        failed(&answer, 400, "Invalid request body");
        let nested = "[".repeat(100_000);
        let call = ryze.api.post(&path).header("token", ACCOUNT);
        let answer = call.body("application/json", nested).send().await;
        failed(&answer, 400, "Invalid request body");
    }
    assert_eq!(ryze.webhooks().await, json!([]));
}

#[tokio::test]
async fn an_oversized_body_is_refused_unread() {
    let ryze = Ryze::start().await;
    let small = ryze.app.api().set("http.body_bytes_max", 2048);
    let small = small.start().await;
    let body = json!({ "enabled": true, "url": "https://app.example.com/", "authorization": "x".repeat(4000) });
    for path in ["webhook", "websocket"] {
        let call = small.post(&format!("/api/events/{path}/{INSTANCE}"));
        let answer = call.header("token", ACCOUNT).json(&body).send().await;
        assert_eq!(answer.status, 413, "{answer:?}");
        assert_eq!(answer.json()["success"], false);
        let message = answer.json()["error"]["message"].clone();
        assert!(
            message.as_str().unwrap().contains("larger than 2048 bytes"),
            "{message}"
        );
    }
    assert_eq!(ryze.webhooks().await, json!([]));
}

#[tokio::test]
async fn a_websocket_with_a_bad_value_is_refused_and_nothing_changes() {
    let ryze = Ryze::start().await;
    let path = format!("/api/events/websocket/{INSTANCE}");
    for (body, expected) in [
        (json!({}), "Invalid request body"),
        (json!({ "enabled": 1 }), "Invalid request body"),
        (
            json!({ "enabled": true, "events": [null] }),
            "Invalid request body",
        ),
        (
            json!({ "enabled": true, "mediaBase64": [] }),
            "Invalid request body",
        ),
    ] {
        failed(&ryze.post(&path, &body).await, 400, expected);
    }
    for odd in ODD {
        let body = json!({ "enabled": true, "events": [odd] });
        let answer = ryze.post(&path, &body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    failed(
        &ryze
            .get(&format!("/api/events/getWebsocket/{INSTANCE}"))
            .await,
        404,
        "WebSocket not configured for this instance",
    );
}

#[tokio::test]
async fn an_instance_with_a_bad_name_or_token_is_not_made() {
    let ryze = Ryze::start().await;
    let only_letters = "name may only contain letters, digits, underscore or dash";
    let token = "token must be 16 to 255 visible ASCII characters, eight of them different; leave it out to have one made up";
    for (body, status, expected) in [
        (json!({}), 400, "name is required"),
        (json!({ "name": "" }), 400, "name is required"),
        (json!({ "name": null }), 400, "name is required"),
        (
            json!({ "name": "x".repeat(101) }),
            400,
            "name too long (max 100 chars)",
        ),
        (json!({ "name": "a.b" }), 400, only_letters),
        (json!({ "name": " a" }), 400, only_letters),
        (json!({ "name": 7 }), 400, "Invalid request body"),
        (json!({ "name": "a", "token": "short" }), 400, token),
        (json!({ "name": "a", "token": "é".repeat(20) }), 400, token),
        (json!({ "name": "a", "token": "x".repeat(256) }), 400, token),
        (
            json!({ "name": "a", "webhookEvents": "x" }),
            400,
            "Invalid request body",
        ),
        (json!({ "name": INSTANCE }), 409, "Instance already exists"),
        (
            json!({ "name": "a", "token": ryze.token }),
            409,
            "Instance already exists",
        ),
    ] {
        failed(
            &ryze.post("/api/instance/new", &body).await,
            status,
            expected,
        );
    }
    let names: i64 = ryze
        .app
        .value("select count(*) from postrider.instances")
        .await;
    assert_eq!(names, 2);
}

#[tokio::test]
async fn odd_names_in_paths_are_not_found_and_unsupported_methods_are_told() {
    let ryze = Ryze::start().await;
    for odd in [
        "%27%3B%20drop",
        "%00",
        "%F0%9F%A6%80",
        "..%2f..%2fetc",
        "%FF",
        &"x".repeat(5000),
    ] {
        for path in ["getWebhook", "webhook", "getWebsocket"] {
            let answer = ryze.get(&format!("/api/events/{path}/{odd}")).await;
            assert!([400, 404].contains(&answer.status), "{odd}: {answer:?}");
            assert_eq!(answer.json()["success"], false, "{answer:?}");
        }
    }
    for (method, path) in [
        ("PUT", "/api/events/webhook/my-instance"),
        ("POST", "/api/events/getWebhook/my-instance"),
        ("DELETE", "/api/events/websocket/my-instance"),
        ("GET", "/api/instance/new"),
        ("POST", "/api/instance/list"),
        ("GET", "/api/instance/delete/my-instance"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let call = ryze.api.call(method, path).header("token", ACCOUNT);
        let answer = call.send().await;
        assert_eq!(answer.status, 405, "{answer:?}");
        assert_eq!(answer.json()["success"], false, "{answer:?}");
        assert!(!answer.header("allow").is_empty(), "{answer:?}");
    }
}
