//! What is refused: in `CodeChat`'s shape, with a text that says what to do, and without any change.

use reqwest::Method;
use serde_json::{Value, json};

use super::{WEBHOOKS, create, enabled, start};
use crate::support::api::{ACCOUNT, Answered, TestApi};
use crate::support::app::TestApp;

/// An answer in the shape of an error, whose text has this in it.
fn check(answer: &Answered, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let body = answer.json();
    let reason = answer.reason();
    let expected = json!({"status": status, "error": reason, "message": [body["message"][0]]});
    assert_eq!(body, expected);
    let message = body["message"][0].as_str().unwrap();
    assert!(message.contains(text), "{message:?} has no {text:?}");
}

/// Everything there is to be changed.
async fn everything(app: &TestApp) -> Value {
    let text: String = app
        .value("select coalesce(json_agg(e order by e.id), '[]')::text from (select id, url, label, events, state, settings, version from postrider.endpoints) e")
        .await;
    serde_json::from_str(&text).unwrap()
}

/// Every route of a webhook, each with a body that would be taken.
fn routes(webhook: &str) -> Vec<(Method, String, Option<Value>)> {
    let body = json!({"name": "x", "url": "https://example.com/x"});
    vec![
        (Method::GET, WEBHOOKS.to_owned(), None),
        (Method::POST, WEBHOOKS.to_owned(), Some(body.clone())),
        (Method::GET, webhook.to_owned(), None),
        (Method::PUT, webhook.to_owned(), Some(body)),
        (Method::DELETE, webhook.to_owned(), None),
        (
            Method::PATCH,
            format!("{webhook}/events"),
            Some(json!({"newJwt": false})),
        ),
    ]
}

async fn send(
    api: &TestApi,
    (method, path, body): (Method, String, Option<Value>),
    token: Option<&str>,
) -> Answered {
    let mut call = api.call(method, &path);
    if let Some(token) = token {
        call = call.bearer(token);
    }
    match body {
        Some(body) => call.json(&body).send().await,
        None => call.send().await,
    }
}

#[tokio::test]
async fn without_a_good_token_every_route_says_401_and_does_nothing() {
    let (app, api) = start().await;
    let webhook = enabled(&api, "https://example.com/hook").await;
    let before = everything(&app).await;
    let unknown = format!("{WEBHOOKS}/no-such-webhook").replace("shop", "nobody");
    for route in routes(&webhook).into_iter().chain(routes(&unknown)) {
        check(
            &send(&api, route.clone(), None).await,
            401,
            "postrider token create",
        );
        check(
            &send(&api, route, Some("wrong")).await,
            401,
            "postrider token create",
        );
    }
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn another_tenants_instance_and_an_unknown_one_are_answered_alike() {
    let (app, api) = start().await;
    let webhook = enabled(&api, "https://example.com/hook").await;
    app.instance("other").await;
    app.sql(
        "update postrider.instances set token = 'token-of-the-other-instance' where name = 'other'",
    )
    .await;
    let before = everything(&app).await;
    let stranger = Some("token-of-the-other-instance");
    let id = webhook.rsplit('/').next().unwrap();
    for route in routes(&webhook) {
        check(
            &send(&api, route.clone(), stranger).await,
            404,
            "no instance \"shop\"",
        );
        let (method, path, body) = route;
        let unknown = (method, path.replace("shop", "nobody"), body);
        check(
            &send(&api, unknown, stranger).await,
            404,
            "no instance \"nobody\"",
        );
    }
    // Through its own instance it does not reach the webhook of another either.
    for (method, path, body) in routes(&webhook).into_iter().skip(2) {
        let own = (method, path.replace("shop", "other"), body);
        check(
            &send(&api, own, stranger).await,
            404,
            &format!("no webhook {id:?}"),
        );
    }
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn an_instances_own_token_is_good_for_it_and_the_apikey_header_carries_it_too() {
    let (app, api) = start().await;
    app.sql("update postrider.instances set token = 'token-of-the-shop' where name = 'shop'")
        .await;
    let bearer = api.get(WEBHOOKS).bearer("token-of-the-shop").send().await;
    assert_eq!((bearer.status, bearer.json()), (200, json!([])));
    let header = api
        .get(WEBHOOKS)
        .header("apikey", "token-of-the-shop")
        .send()
        .await;
    assert_eq!(header.status, 200);
}

#[tokio::test]
async fn a_body_that_cannot_be_taken_is_refused_with_the_place_and_the_remedy() {
    let (app, api) = start().await;
    let webhook = enabled(&api, "https://example.com/hook").await;
    let before = everything(&app).await;
    let long = "x".repeat(256);
    let far = format!("https://example.com/{}", "x".repeat(2048));
    let url = "https://example.com/new";
    for (body, text) in [
        (json!({}), "missing field `name`"),
        (json!(["x", url, true]), "expected an object, not an array"),
        (json!({"name": 1, "url": url}), "name: invalid type"),
        (json!({"name": "x", "url": 1}), "url: invalid type"),
        (
            json!({"name": "x", "url": url, "enabled": "yes"}),
            "enabled: invalid type",
        ),
        (json!({"name": "", "url": url}), "name is empty"),
        (json!({"name": long, "url": url}), "name is longer than 255"),
        (json!({"name": "a\u{0}b", "url": url}), "control character"),
        (json!({"name": "x", "url": ""}), "url: it is empty"),
        (
            json!({"name": "x", "url": "nowhere"}),
            "url: it is not a URL",
        ),
        (
            json!({"name": "x", "url": "ftp://example.com"}),
            "only http and https",
        ),
        (
            json!({"name": "x", "url": "https://example.com/ a"}),
            "percent-encode",
        ),
        (json!({"name": "x", "url": far}), "longer than 2048"),
        (
            json!({"name": "x", "url": "http://10.0.0.1/"}),
            "10.0.0.1 is private",
        ),
        (
            json!({"name": "x", "url": "http://[::1]/"}),
            "::1 is loopback",
        ),
        (
            json!({"name": "x", "url": "http://169.254.169.254/latest"}),
            "egress.allow",
        ),
    ] {
        check(&create(&api, &body).await, 400, text);
        let put = api
            .call(Method::PUT, &webhook)
            .bearer(ACCOUNT)
            .json(&body)
            .send()
            .await;
        check(&put, 400, text);
    }
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn a_switch_that_is_none_or_says_neither_on_nor_off_is_refused_by_name() {
    let (app, api) = start().await;
    let webhook = enabled(&api, "https://example.com/hook").await;
    let before = everything(&app).await;
    let events = format!("{webhook}/events");
    for (body, text) in [
        (json!([]), "expected an object of switches"),
        (json!({"newJwt": "no"}), "newJwt: invalid type: string"),
        (json!({"newJwt": null}), "expected a boolean"),
        (json!({"messageSet": true}), "did you mean \"messagesSet\"?"),
        (
            json!({"'; drop table x; --": true}),
            "there are qrcodeUpdate",
        ),
        (
            json!({"statusInstance": true, "stateInstance": false}),
            "both true and false",
        ),
    ] {
        let patch = api
            .call(Method::PATCH, &events)
            .bearer(ACCOUNT)
            .json(&body)
            .send()
            .await;
        check(&patch, 400, text);
    }
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn what_is_not_json_too_large_or_of_another_method_is_refused_in_the_same_shape() {
    let app = TestApp::start().await;
    let api = app.api().set("http.body_bytes_max", 2048).start().await;
    let (json, text) = ("application/json", "text/plain");
    let large = format!(
        r#"{{"name":"{}","url":"https://example.com"}}"#,
        "x".repeat(3000)
    );
    let post = |kind: &'static str, body: Vec<u8>| {
        api.post(WEBHOOKS).bearer(ACCOUNT).body(kind, body).send()
    };
    check(
        &post(json, b"{\"name\":".to_vec()).await,
        400,
        "not valid JSON",
    );
    check(
        &post(json, b"{} trailing".to_vec()).await,
        400,
        "missing field",
    );
    check(&post(json, vec![0xff, 0xfe]).await, 400, "not valid JSON");
    check(&post(json, Vec::new()).await, 400, "not valid JSON");
    check(
        &post(text, b"{}".to_vec()).await,
        415,
        "content-type: application/json",
    );
    check(
        &post(json, large.into_bytes()).await,
        413,
        "http.body_bytes_max",
    );
    let method = api.call(Method::PUT, WEBHOOKS).bearer(ACCOUNT).send().await;
    check(&method, 405, "Allow");
    assert!(method.header("allow").contains("POST"), "{method:?}");
    let nowhere = api
        .get("/api/v2/instance/shop/webhooks")
        .bearer(ACCOUNT)
        .send()
        .await;
    check(&nowhere, 404, "/openapi.json");
    assert_eq!(everything(&app).await, json!([]));
}
