//! Tokens and limits.

use postrider::lifecycle::Tasks;
use reqwest::Method;
use serde_json::json;

use super::{INSTANCE, Ryze, failed, new_instance};
use crate::support::api::{ACCOUNT, Answered, TestApi};
use crate::support::app::TestApp;
use crate::support::worker::Process;

/// Every route there is.
const ROUTES: [(&str, &str); 9] = [
    ("POST", "/api/events/webhook/my-instance"),
    ("GET", "/api/events/webhook/my-instance"),
    ("DELETE", "/api/events/webhook/my-instance"),
    ("GET", "/api/events/getWebhook/my-instance"),
    ("POST", "/api/events/websocket/my-instance"),
    ("GET", "/api/events/getWebsocket/my-instance"),
    ("POST", "/api/instance/new"),
    ("GET", "/api/instance/list"),
    ("DELETE", "/api/instance/delete/my-instance"),
];

#[tokio::test]
async fn a_token_is_taken_from_each_of_its_three_carriers() {
    let ryze = Ryze::start().await;
    let path = format!("/api/events/getWebhook/{INSTANCE}");
    for token in [ACCOUNT, &ryze.token] {
        let answers = [
            ryze.api.get(&path).header("token", token).send().await,
            ryze.api.get(&path).bearer(token).send().await,
            ryze.api.get(&format!("{path}?token={token}")).send().await,
        ];
        for answer in answers {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn without_a_good_token_every_route_says_so_and_does_nothing() {
    let ryze = Ryze::start().await;
    let before = snapshot(&ryze.app).await;
    for (method, path) in ROUTES {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let call = || {
            let call = ryze.api.call(method.clone(), path);
            call.json(&json!({ "enabled": false, "name": "x" }))
        };
        let long = "x".repeat(5000);
        for answer in [
            call().send().await,
            call().header("token", "wrong").send().await,
            call().header("token", "' or true --").send().await,
            call().header("token", "").send().await,
            call().header("token", &long).send().await,
            call().bearer("wrong").send().await,
            call().header("authorization", ACCOUNT).send().await,
            call().header("apikey", ACCOUNT).send().await,
        ] {
            failed(&answer, 401, "Invalid token");
        }
    }
    assert_eq!(snapshot(&ryze.app).await, before);
}

#[tokio::test]
async fn the_token_of_one_instance_reaches_no_other_and_cannot_tell_whether_there_is_one() {
    let ryze = Ryze::start().await;
    let other = new_instance(&ryze.api, "other").await;
    let before = snapshot(&ryze.app).await;
    for (method, path) in ROUTES {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let call = async |path: &str| {
            let call = ryze.api.call(method.clone(), path).header("token", &other);
            let body =
                json!({ "enabled": true, "url": "https://app.example.com/", "name": "new-one" });
            call.json(&body).send().await
        };
        if path == "/api/instance/list" {
            continue;
        }
        let answer = call(path).await;
        if path == "/api/instance/new" {
            failed(&answer, 403, "TokenAccount required");
            continue;
        }
        failed(&answer, 404, "Instance not found");
        let unknown = call(&path.replace(INSTANCE, "nobody")).await;
        assert_eq!((unknown.status, unknown.text), (answer.status, answer.text));
    }
    assert_eq!(snapshot(&ryze.app).await, before);
}

#[tokio::test]
async fn every_response_tells_the_limit() {
    let ryze = Ryze::start().await;
    let path = format!("/api/events/getWebhook/{INSTANCE}");
    let first = ryze.get(&path).await;
    let left =
        |answer: &Answered| -> i64 { answer.header("x-ratelimit-remaining").parse().unwrap() };
    assert_eq!(first.header("x-ratelimit-limit"), "100");
    let resets_at: i64 = first.header("x-ratelimit-reset").parse().unwrap();
    let now: i64 = ryze
        .app
        .value("select extract(epoch from clock_timestamp())::bigint")
        .await;
    assert!(resets_at % 60 == 0 && (now..=now + 61).contains(&resets_at));
    let second = ryze.get(&path).await;
    if second.header("x-ratelimit-reset") == first.header("x-ratelimit-reset") {
        assert_eq!(left(&second), left(&first) - 1);
    }
    let made = ryze.post("/api/instance/new", &json!({ "name": "" })).await;
    assert_eq!((made.status, made.header("x-ratelimit-limit")), (400, "20"));
    for answer in [
        ryze.get(&format!("{path}?label=a.b")).await,
        ryze.get("/api/events/getWebhook/nobody").await,
        ryze.post(&path, &json!({})).await,
        ryze.get("/api/no/such/route").await,
        ryze.api.get(&path).send().await,
        ryze.post(
            &format!("/api/events/webhook/{INSTANCE}"),
            &json!({ "url": 7 }),
        )
        .await,
    ] {
        assert!(answer.status >= 400, "{answer:?}");
        assert_eq!(answer.header("x-ratelimit-limit"), "100", "{answer:?}");
        assert!(left(&answer) <= 100, "{answer:?}");
        let resets_at: i64 = answer.header("x-ratelimit-reset").parse().unwrap();
        assert_eq!(resets_at % 60, 0, "{answer:?}");
    }
}

#[tokio::test]
async fn a_hundred_requests_a_minute_are_answered_over_all_processes_and_then_the_documented_429() {
    let app = TestApp::start().await;
    let (_running, processes) = processes(&app).await;
    exhaust(&app, &processes, Method::GET, "/api/instance/list", 100).await;
}

#[tokio::test]
async fn twenty_instances_a_minute_are_made_over_all_processes() {
    let app = TestApp::start().await;
    let (_running, processes) = processes(&app).await;
    exhaust(&app, &processes, Method::POST, "/api/instance/new", 20).await;
    // The other limit is one of its own.
    let list = processes[0].get("/api/instance/list");
    let list = list.header("token", ACCOUNT).send().await;
    assert_eq!(
        (list.status, list.header("x-ratelimit-limit")),
        (200, "100")
    );
    // And so is another token's.
    app.sql(
        "update postrider.instances set token = 'token-of-the-shop-itself' where name = 'shop'",
    )
    .await;
    let other = processes[1].call(Method::POST, "/api/instance/new");
    let other = other.header("token", "token-of-the-shop-itself");
    assert_eq!(other.json(&json!({})).send().await.status, 403);
}

/// Two real processes, and their APIs.
async fn processes(app: &TestApp) -> ([Process; 2], [TestApi; 2]) {
    let token = format!("'{ACCOUNT}'");
    let start = || {
        app.worker()
            .set("api.account_token", &token)
            .spawn_as("api")
    };
    let mut running = [start(), start()];
    for process in &mut running {
        process.ready().await;
    }
    // The client speaks no TLS here, but is not built without.
    drop(rustls::crypto::ring::default_provider().install_default());
    let apis = running
        .each_ref()
        .map(|process| TestApi::at(process.address().unwrap(), Tasks::default()));
    (running, apis)
}

/// Uses a limit up, by turns in each process, within one minute of the database's clock.
async fn exhaust(app: &TestApp, processes: &[TestApi], method: Method, path: &str, limit: usize) {
    // A minute may end on the way; then the next one is begun anew.
    for _ in 0..3 {
        app.sql("delete from postrider.request_counts").await;
        let mut answers = Vec::new();
        for number in 0..=limit {
            let api = &processes[number % processes.len()];
            let call = api.call(method.clone(), path).header("token", ACCOUNT);
            answers.push(call.json(&json!({})).send().await);
        }
        let resets_at = |answer: &Answered| answer.header("x-ratelimit-reset").to_owned();
        if resets_at(&answers[0]) != resets_at(&answers[limit])
            || answers[0].header("x-ratelimit-remaining") != (limit - 1).to_string()
        {
            continue;
        }
        let (last, within) = answers.split_last().unwrap();
        assert!(within.iter().all(|answer| answer.status != 429));
        failed(last, 429, "Rate limit exceeded. Try again later.");
        assert_eq!(last.header("x-ratelimit-remaining"), "0");
        assert_eq!(last.header("x-ratelimit-limit"), limit.to_string());
        return;
    }
    panic!("no minute was long enough");
}

/// All that a request could have changed.
async fn snapshot(app: &TestApp) -> String {
    app.value(
        "select coalesce(string_agg(to_jsonb(i)::text, ',' order by i.id), '') || coalesce((select string_agg(to_jsonb(e)::text, ',' order by e.id) from postrider.endpoints e), '')
         from postrider.instances i",
    )
    .await
}
