//! What is refused: in `VZaps`'s shape, with a text that says what to do, and without any change.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENT, SECRET, access, call, credentials, ids, post, start, webhook};
use crate::support::api::{ACCOUNT, Answered, Call, TestApi};
use crate::support::app::{INSTANCE, TestApp};

/// An answer in the shape of an error, whose text has this in it.
fn check(answer: &Answered, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let body = answer.json();
    assert_eq!(
        body,
        json!({"code": status, "success": false, "error": body["error"]})
    );
    let message = body["error"].as_str().unwrap();
    assert!(message.contains(text), "{message:?} has no {text:?}");
}

/// Everything there is to be changed.
async fn everything(app: &TestApp) -> String {
    app.value(
        "select coalesce(json_agg(e order by e.id), '[]')::text || (select count(*) from postrider.instances) || (select count(*) from postrider.webhook_queue where status = 'pending')
         from (select id, url, label, events, state, version from postrider.endpoints) e",
    )
    .await
}

/// Every route that asks for a token, each with a body that would be taken; and whether an instance's own token is enough.
fn routes(id: &str) -> Vec<(Method, String, Option<Value>, bool)> {
    let webhook = format!("/instances/{id}/webhook");
    vec![
        (
            Method::PUT,
            "/instances/create".to_owned(),
            Some(json!({"name": "made"})),
            false,
        ),
        (
            Method::POST,
            "/instances/list".to_owned(),
            Some(json!({})),
            false,
        ),
        (
            Method::POST,
            "/instances/get".to_owned(),
            Some(json!({"id": id})),
            true,
        ),
        (Method::GET, webhook.clone(), None, true),
        (
            Method::POST,
            webhook.clone(),
            Some(json!({"webhookURL": "https://example.com/x"})),
            true,
        ),
        (
            Method::POST,
            format!("{webhook}/logs/search"),
            Some(json!({})),
            true,
        ),
        (Method::GET, format!("{webhook}/logs/log_1"), None, true),
        (
            Method::POST,
            format!("{webhook}/logs/log_1/retry"),
            None,
            true,
        ),
    ]
}

/// The call of a route, without a token.
fn request(api: &TestApi, route: &(Method, String, Option<Value>, bool)) -> Call {
    let call = api.call(route.0.clone(), &route.1);
    match &route.2 {
        Some(body) => call.json(body),
        None => call,
    }
}

#[tokio::test]
async fn without_good_tokens_every_route_says_401_and_does_nothing() {
    let (app, api) = start().await;
    let (id, token) = ids(&app, INSTANCE).await;
    app.sql("insert into postrider.accounts (name) values ('another')")
        .await;
    credentials(&app, "another", "vz_other", "another-secret").await;
    let before = everything(&app).await;
    for route in routes(&id) {
        let request = || request(&api, &route);
        check(&request().send().await, 401, "postrider token create");
        check(
            &request().bearer("wrong").send().await,
            401,
            "postrider token create",
        );
        check(
            &request().bearer(SECRET).send().await,
            401,
            "postrider token create",
        );
        check(
            &request().bearer(CLIENT).send().await,
            401,
            "postrider token create",
        );
        check(
            &request().header("x-instance-token", &token).send().await,
            401,
            "together with X-Client-Token",
        );
        let pair = request()
            .header("x-instance-token", &token)
            .header("x-client-token", "vz_other");
        check(&pair.send().await, 401, "not of this account");
        let owner = request()
            .bearer(ACCOUNT)
            .header("x-client-token", "vz_nobody");
        check(&owner.send().await, 401, "not of this account");
    }
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn credentials_that_do_not_belong_together_are_refused() {
    let (_app, api) = start().await;
    for (id, secret) in [
        (CLIENT, "wrong"),
        ("nobody", SECRET),
        (CLIENT, ""),
        ("' or true --", SECRET),
        ("\0", SECRET),
    ] {
        let answer = api
            .post("/token")
            .json(&json!({"client_token": id, "client_secret": secret}))
            .send()
            .await;
        check(&answer, 401, "do not belong together");
    }
    for (body, text) in [
        (json!({}), "missing field `client_token`"),
        (
            json!({"client_token": CLIENT}),
            "missing field `client_secret`",
        ),
        (
            json!({"client_token": 1, "client_secret": SECRET}),
            "client_token: invalid type",
        ),
        (json!([CLIENT, SECRET]), "expected an object"),
    ] {
        check(&api.post("/token").json(&body).send().await, 400, text);
    }
    check(&api.get("/token").send().await, 405, "Allow");
}

#[tokio::test]
async fn an_instances_token_is_no_substitute_for_the_accounts() {
    let (app, api) = start().await;
    let (id, token) = ids(&app, INSTANCE).await;
    let before = everything(&app).await;
    for route in routes(&id).iter().filter(|route| !route.3) {
        let pair = request(&api, route)
            .header("x-instance-token", &token)
            .header("x-client-token", CLIENT);
        check(&pair.send().await, 403, "account token");
    }
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn another_tenants_instance_and_an_unknown_one_are_answered_alike() {
    let (app, api) = start().await;
    let (id, _) = ids(&app, INSTANCE).await;
    app.sql("insert into postrider.accounts (name) values ('another')")
        .await;
    credentials(&app, "another", "vz_other", "another-secret").await;
    let stranger = access(&api, "vz_other", "another-secret").await;
    let before = everything(&app).await;
    for (theirs, nobodys) in routes(&id)
        .iter()
        .zip(routes("VZNOBODY"))
        .filter(|(route, _)| route.3)
    {
        let answer = request(&api, theirs).bearer(&stranger).send().await;
        check(&answer, 404, &format!("no instance {id:?}"));
        check(
            &request(&api, &nobodys).bearer(&stranger).send().await,
            404,
            "no instance \"VZNOBODY\"",
        );
    }
    let list = request(&api, &routes(&id)[1])
        .bearer(&stranger)
        .send()
        .await;
    assert_eq!((list.status, &list.json()["total"]), (200, &json!(0)));
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_taken_is_refused_with_the_place_and_the_remedy() {
    let (app, api) = start().await;
    let path = webhook(&app).await;
    let url = "https://example.com/x";
    let far = format!("https://example.com/{}", "x".repeat(2048));
    for (body, text) in [
        (json!({}), "missing field `webhookURL`"),
        (json!([url]), "expected an object"),
        (json!({"webhookURL": 1}), "webhookURL: invalid type"),
        (json!({"webhookURL": ""}), "webhookURL: it is empty"),
        (json!({"webhookURL": "nowhere"}), "it is not a URL"),
        (
            json!({"webhookURL": "ftp://example.com"}),
            "only http and https",
        ),
        (
            json!({"webhookURL": "http://192.168.1.1/"}),
            "192.168.1.1 is private",
        ),
        (json!({"webhookURL": "http://[fd00::1]/"}), "egress.allow"),
        (json!({"webhookURL": far}), "longer than 2048"),
        (
            json!({"webhookURL": url, "events": 1}),
            "events: invalid type: integer `1`, expected a list of event names",
        ),
        (json!({"webhookURL": url, "events": [1]}), "invalid type"),
        (json!({"webhookURL": url, "events": []}), "names no event"),
        (json!({"webhookURL": url, "events": ""}), "names no event"),
        (
            json!({"webhookURL": url, "events": "Message,Receipt"}),
            "use ReadReceipt",
        ),
        (
            json!({"webhookURL": url, "events": "MessageDelivered"}),
            "use ReadReceipt",
        ),
        (
            json!({"webhookURL": url, "events": "message"}),
            "there are Message",
        ),
        (
            json!({"webhookURL": url, "events": "日本'; drop table x; --"}),
            "there are Message",
        ),
        (json!({"webhookURL": url, "url": url}), "duplicate field"),
    ] {
        check(&post(&api, &path, &body).await, 400, text);
    }
    let endpoints: i64 = app.value("select count(*) from postrider.endpoints").await;
    assert_eq!(endpoints, 0);
}

#[tokio::test]
async fn an_instance_that_cannot_be_made_is_refused_with_the_place_and_the_remedy() {
    let (app, api) = start().await;
    let before = everything(&app).await;
    for (body, status, text) in [
        (json!({}), 400, "missing field `name`"),
        (json!(["abc"]), 400, "expected an object"),
        (json!({"name": 1}), 400, "name: invalid type"),
        (json!({"name": "ab"}), 400, "3 to 255 characters"),
        (json!({"name": "x".repeat(256)}), 400, "3 to 255 characters"),
        (json!({"name": "a\u{0}bc"}), 400, "control characters"),
        (json!({"name": "a\nbc"}), 400, "control characters"),
        (json!({"name": " abc "}), 400, "spaces at the ends"),
        (
            json!({"name": "abc", "reject_calls": 1}),
            400,
            "reject_calls: invalid type",
        ),
        (
            json!({"name": "abc", "webhook": "http://127.1.1.1.1"}),
            400,
            "webhook: it is not a URL",
        ),
        (
            json!({"name": "abc", "webhook": "http://10.1/"}),
            400,
            "10.0.0.1 is private",
        ),
        (
            json!({"name": "abc", "events_subscribe": ["Nope"]}),
            400,
            "events_subscribe: there is no event",
        ),
        (json!({"name": "shop"}), 409, "already an instance"),
    ] {
        let answer = call(&api, Method::PUT, "/instances/create")
            .json(&body)
            .send()
            .await;
        check(&answer, status, text);
    }
    assert_eq!(everything(&app).await, before);
}

#[tokio::test]
async fn a_search_that_cannot_be_made_is_refused_with_the_place_and_the_remedy() {
    let (app, api) = start().await;
    let search = format!("{}/logs/search", webhook(&app).await);
    for (body, text) in [
        (json!([1, 2]), "expected an object"),
        (json!({"page": 0}), "the first page is 1"),
        (json!({"page": 9_000_000_000_000_000_000_i64}), "page: "),
        (json!({"size": 0}), "from 1 to 1000"),
        (json!({"size": 1001}), "from 1 to 1000"),
        (json!({"size": "20"}), "size: invalid type"),
    ] {
        check(&post(&api, "/instances/list", &body).await, 400, text);
        check(&post(&api, &search, &body).await, 400, text);
    }
    for (path, body, text) in [
        (
            "/instances/list",
            json!({"sort": "secret"}),
            "sort: unknown variant",
        ),
        (
            "/instances/list",
            json!({"filter": {"query": 1}}),
            "filter.query: invalid type",
        ),
        (
            "/instances/list",
            json!({"filter": {"query": "a\u{0}"}}),
            "0x00",
        ),
        ("/instances/get", json!({"id": 1}), "id: invalid type"),
        (
            &search,
            json!({"status": "lost"}),
            "status: unknown variant",
        ),
        (&search, json!({"event": "Receipt"}), "use ReadReceipt"),
        (
            &search,
            json!({"since": "yesterday"}),
            "since: it is no time",
        ),
        (
            &search,
            json!({"filter": {"until": 1}}),
            "filter.until: invalid type",
        ),
    ] {
        check(&post(&api, path, &body).await, 400, text);
    }
    for log in ["log_x';--", "%00", "99999999999999999999", "-1"] {
        let answer = call(&api, Method::GET, &search.replace("search", log))
            .send()
            .await;
        check(&answer, 404, "no webhook log");
    }
}

#[tokio::test]
async fn what_is_not_json_too_large_or_of_another_method_is_refused_in_the_same_shape() {
    let app = TestApp::start().await;
    let api = app.api().set("http.body_bytes_max", 2048).start().await;
    let path = webhook(&app).await;
    let large = format!(r#"{{"webhookURL":"{}"}}"#, "x".repeat(3000));
    for path in [
        path.as_str(),
        "/instances/list",
        &format!("{path}/logs/search"),
    ] {
        let post = |body: Vec<u8>| {
            call(&api, Method::POST, path)
                .body("application/json", body)
                .send()
        };
        check(&post(b"{\"page\":".to_vec()).await, 400, "not valid JSON");
        check(&post(vec![0xff, 0xfe]).await, 400, "not valid JSON");
        check(
            &post(large.clone().into_bytes()).await,
            413,
            "http.body_bytes_max",
        );
        let method = call(&api, Method::DELETE, path).send().await;
        check(&method, 405, "Allow");
    }
    let text = call(&api, Method::POST, &path)
        .body("text/plain", "{}")
        .send()
        .await;
    check(&text, 415, "content-type: application/json");
    check(
        &call(&api, Method::GET, "/instances/x/y/z").send().await,
        404,
        "/openapi.json",
    );
    assert_eq!(everything(&app).await, "[]10");
}
