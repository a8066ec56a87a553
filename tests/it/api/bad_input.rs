//! Bad input to every route of the native API: a problem that says what to do, and nothing changed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{ACCOUNT, Answered, TestApi};
use crate::support::app::TestApp;
use crate::support::document::{Operation, document, fields, operations, sample};

/// What is sent wherever a text may stand.
const TEXTS: [&str; 8] = [
    "'; drop table postrider.endpoints; --",
    "$1 %s {{7*7}} ${jndi:x}",
    "\u{0}",
    "a\u{0}b\r\nx-injected: 1",
    "../../../etc/passwd",
    "\u{202e}öäü 日本 👩‍👩‍👧",
    "<script>alert(1)</script>",
    "",
];

/// The operations of the native API.
fn native(document: &Value) -> Vec<Operation> {
    let all = operations(document).into_iter();
    all.filter(|operation| operation.path.starts_with("/v1/"))
        .collect()
}

/// A path whose braces hold something that is there, where that is easy to say.
fn path(operation: &Operation) -> String {
    let path = operation.path.replace("{instance}", "shop");
    ["endpoint", "delivery"]
        .iter()
        .fold(path, |path, name| path.replace(&format!("{{{name}}}"), "1"))
        .replace("{event}", "evt_1_a")
        .replace("{token}", "x")
        .replace("{account}", "x")
}

/// How much there is of everything.
async fn counts(app: &TestApp) -> String {
    app.value("select concat_ws(' ', (select count(*) from postrider.instances), (select count(*) from postrider.endpoints)
        , (select count(*) from postrider.events), (select count(*) from postrider.tokens), (select count(*) from postrider.accounts))").await
}

/// It is a problem of this status, in the shape that was promised.
fn assert_problem(answer: &Answered, statuses: &[u16], what: &str) {
    assert!(
        statuses.contains(&answer.status),
        "{what}: {} {}",
        answer.status,
        answer.text
    );
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{what}"
    );
    let problem = answer.json();
    for field in ["type", "title", "status", "code", "detail", "request_id"] {
        assert!(!problem[field].is_null(), "{what}: no {field} in {problem}");
    }
    assert_eq!(problem["status"], answer.status, "{what}");
}

/// The app with an endpoint in it, and the API, which takes small bodies only.
async fn start() -> (TestApp, TestApi) {
    let app = TestApp::start().await;
    app.sql("select postrider.set_endpoint('shop', 'https://example.com/')")
        .await;
    let api = app.api().set("http.body_bytes_max", 4096).start().await;
    (app, api)
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_on_every_route() {
    let (app, api) = start().await;
    let document = document();
    let before = counts(&app).await;
    for operation in native(&document)
        .into_iter()
        .filter(|operation| operation.body.is_some())
    {
        let (method, path) = (operation.method.clone(), path(&operation));
        let send = async |content_type: &str, body: &str| {
            let call = api.call(method.clone(), &path).bearer(ACCOUNT);
            call.body(content_type, body).send().await
        };
        let json = "application/json";
        // Which thing it is about may be looked up first; then there is none.
        assert_problem(&send(json, "{").await, &[400], &path);
        assert_problem(&send(json, "{} {}").await, &[400, 422], &path);
        assert_problem(&send(json, "\u{feff}{}").await, &[400], &path);
        assert_problem(&send(json, "[]").await, &[422], &path);
        assert_problem(&send(json, "{\"no_such_field\": 1}").await, &[422], &path);
        assert_problem(&send("text/plain", "{}").await, &[415], &path);
        assert_problem(
            &send("application/x-www-form-urlencoded", "a=b").await,
            &[415],
            &path,
        );
        let large = format!("{{\"a\": \"{}\"}}", "x".repeat(5000));
        assert_problem(&send(json, &large).await, &[413], &path);
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(1500), "]".repeat(1500));
        assert_problem(&send(json, &deep).await, &[400, 422], &path);
    }
    assert_eq!(counts(&app).await, before);
}

#[tokio::test]
async fn a_method_that_a_path_has_not_is_refused_with_those_it_has() {
    let (_app, api) = start().await;
    let document = document();
    for operation in native(&document) {
        let methods: Vec<Method> = native(&document)
            .into_iter()
            .filter(|other| other.path == operation.path)
            .map(|other| other.method)
            .collect();
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            if methods.contains(&method) {
                continue;
            }
            let answer = api
                .call(method.clone(), &path(&operation))
                .bearer(ACCOUNT)
                .send()
                .await;
            assert_problem(&answer, &[405], &operation.path);
            let allowed = answer.header("allow");
            assert!(
                methods
                    .iter()
                    .all(|method| allowed.contains(method.as_str())),
                "{allowed}"
            );
        }
    }
}

#[tokio::test]
async fn no_text_in_any_field_breaks_anything() {
    let (app, api) = start().await;
    let document = document();
    for operation in native(&document) {
        let Some(schema) = &operation.body else {
            continue;
        };
        let texts: Vec<_> = fields(&document, schema)
            .into_iter()
            .filter(|(_, field)| field["type"] == "string" || field["type"][0] == "string")
            .collect();
        for (field, _) in texts {
            for text in TEXTS
                .iter()
                .map(|text| (*text).to_owned())
                .chain(["x".repeat(3000)])
            {
                let mut body = sample(&document, schema);
                body[&field] = json!(text);
                let answer = api
                    .call(operation.method.clone(), &path(&operation))
                    .bearer(ACCOUNT)
                    .json(&body)
                    .send()
                    .await;
                let what = format!(
                    "{} {} {body}: {}",
                    operation.method, operation.path, answer.text
                );
                assert!(answer.status < 500, "{what}");
                if answer.status >= 400 {
                    assert_problem(&answer, &[answer.status], &what);
                }
                assert_eq!(answer.header("x-injected"), "", "{what}");
            }
        }
    }
    assert_eq!(
        app.value::<i64>(
            "select count(*) from postrider.endpoints where url = 'https://example.com/'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn no_text_in_any_path_or_query_breaks_anything() {
    let (_app, api) = start().await;
    let texts = [
        "%00",
        "%27%3B%20drop%20table%20x%3B--",
        "%F0%9F%A4%A6",
        "%FF%FE",
        "..%2F..%2Fx",
        "99999999999999999999",
        "-1",
        "%20",
    ];
    for operation in native(&document()) {
        for text in texts {
            let mut path = operation.path.clone();
            for parameter in &operation.path_parameters {
                path = path.replace(&format!("{{{parameter}}}"), text);
            }
            let mut urls = vec![path.clone()];
            urls.extend(
                operation
                    .query_parameters
                    .iter()
                    .map(|name| format!("{path}?{name}={text}")),
            );
            for url in urls {
                let answer = api
                    .call(operation.method.clone(), &url)
                    .bearer(ACCOUNT)
                    .json(&json!({}))
                    .send()
                    .await;
                assert!(
                    answer.status < 500,
                    "{} {url}: {} {}",
                    operation.method,
                    answer.status,
                    answer.text
                );
                if answer.status >= 400 {
                    assert_problem(&answer, &[answer.status], &url);
                }
            }
        }
    }
}

/// Endpoints that cannot be: the body, the field at fault and a part of what is said.
fn impossible_endpoints() -> Vec<(Value, &'static str, &'static str)> {
    let url = "https://example.com/x";
    vec![
        (json!({"label": "x"}), "url", "a webhook needs one"),
        (
            json!({"url": "ftp://example.com/"}),
            "url",
            "only http and https",
        ),
        (json!({"url": "not a url"}), "url", "percent-encode"),
        (json!({"url": "http://127.0.0.1/"}), "url", "127.0.0.1"),
        (
            json!({"url": "http://[::ffff:10.0.0.1]/"}),
            "url",
            "10.0.0.1",
        ),
        (json!({"url": "http://0x7f.1/"}), "url", "127.0.0.1"),
        (
            json!({"url": "http://169.254.169.254/latest"}),
            "url",
            "169.254",
        ),
        (
            json!({"url": format!("https://example.com/{}", "x".repeat(2100))}),
            "url",
            "2048",
        ),
        (
            json!({"url": url, "label": "a b"}),
            "label",
            "letters, digits",
        ),
        (
            json!({"url": url, "events": ["ok", "a b"]}),
            "events[1]",
            "without spaces",
        ),
        (json!({"url": url, "events": "all"}), "events", "sequence"),
        (
            json!({"url": url, "timeout_ms": 5}),
            "timeout_ms",
            "1000 to 60000",
        ),
        (
            json!({"url": url, "signing_secret": "hunter2"}),
            "signing_secret",
            "whsec_",
        ),
        (
            json!({"url": url, "channel": "pigeon"}),
            "channel",
            "unknown variant",
        ),
        (
            json!({"channel": "sqs", "url": url}),
            "url",
            "only webhooks",
        ),
        (json!({"channel": "pusher"}), "settings", "app_id"),
    ]
}

/// The same, for what its deliveries are to carry.
fn impossible_headers() -> Vec<(Value, &'static str, &'static str)> {
    let url = "https://example.com/x";
    vec![
        (
            json!({"url": url, "headers": {"a b": "x"}}),
            "headers.a b",
            "cannot name a header",
        ),
        (
            json!({"url": url, "headers": {"Host": "other.example"}}),
            "headers.Host",
            "sets itself: remove it",
        ),
        (
            json!({"url": url, "headers": {"webhook-id": "evt_1"}}),
            "headers.webhook-id",
            "sets itself: remove it",
        ),
        (
            json!({"url": url, "headers": {"x-a": "x".repeat(4097)}}),
            "headers.x-a",
            "4096",
        ),
        (
            json!({"url": url, "authorization": "x".repeat(4097)}),
            "authorization",
            "4096",
        ),
        (
            json!({"url": url, "authorization": "a\nb"}),
            "authorization",
            "no header may have",
        ),
    ]
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_is_refused_with_the_field_and_the_remedy() {
    let (app, _) = start().await;
    let api = app.api().start().await;
    let check = async |body: Value, field: &str, says: &str| {
        let answer = api
            .post("/v1/instances/shop/endpoints")
            .bearer(ACCOUNT)
            .json(&body)
            .send()
            .await;
        assert_problem(&answer, &[422], &body.to_string());
        let problem = answer.json();
        assert_eq!(problem["field"], field, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(says),
            "{problem}"
        );
    };
    for (body, field, says) in impossible_endpoints()
        .into_iter()
        .chain(impossible_headers())
    {
        check(body, field, says).await;
    }
    let url = "https://example.com/x";
    let unknown = json!({"url": url, "label": "y", "schedule": "hourly"});
    let answer = api
        .post("/v1/instances/shop/endpoints")
        .bearer(ACCOUNT)
        .json(&unknown)
        .send()
        .await;
    assert_problem(&answer, &[422], "schedule");
    assert!(answer.text.contains("There are: "), "{}", answer.text);
    assert_eq!(
        app.value::<i64>("select count(*) from postrider.endpoints")
            .await,
        1
    );
}
