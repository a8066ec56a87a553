//! The log of a webhook: searched, read, and tried again.

use reqwest::Method;
use serde_json::{Value, json};

use super::{call, data, ids, post, start, webhook};
use crate::support::api::TestApi;
use crate::support::app::{INSTANCE, TestApp};
use crate::support::receiver::{Answer, Receiver};

/// A webhook whose receiver has refused one event for good and taken another.
async fn with_deliveries() -> (
    TestApp,
    TestApi,
    Receiver,
    crate::support::worker::Worker,
    String,
) {
    let (app, api) = start().await;
    let receiver = Receiver::start().await;
    let path = webhook(&app).await;
    data(&post(&api, &path, &json!({"webhookURL": receiver.url()})).await);
    app.sql("update postrider.endpoints set schedule = 'fast', max_attempts = 2")
        .await;
    let worker = app.worker().start().await;
    receiver.answer(Answer::status(503));
    app.emit("message.exchange", r#"{"text":"lost"}"#).await;
    app.counted("failed", 1).await;
    receiver.answer(Answer::ok());
    app.emit("Presence", r#"{"here":true}"#).await;
    app.counted("delivered", 1).await;
    (app, api, receiver, worker, path)
}

#[tokio::test]
async fn deliveries_are_searched_by_status_event_and_time() {
    let (app, api, receiver, worker, path) = with_deliveries().await;
    let (id, _) = ids(&app, INSTANCE).await;
    let search = |body: Value| {
        let (api, path) = (&api, format!("{path}/logs/search"));
        async move { data(&post(api, &path, &body).await) }
    };
    let all = search(json!({})).await;
    let events: Vec<&Value> = all["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|log| &log["event"])
        .collect();
    assert_eq!(events, ["Presence", "Message"]);
    let numbers = json!({"page": all["page"], "size": all["size"], "total": all["total"], "total_pages": all["total_pages"]});
    assert_eq!(
        numbers,
        json!({"page": 1, "size": 20, "total": 2, "total_pages": 1})
    );

    let failed = search(json!({"status": "failed"})).await;
    let log = &failed["content"][0];
    let expected = json!({
        "id": log["id"], "instance_id": id, "event": "Message", "event_id": log["event_id"], "url": receiver.url(), "status": "failed",
        "status_code": 503, "attempts": 2, "max_attempts": 2, "error": log["error"], "created_at": log["created_at"],
        "updated_at": log["updated_at"], "next_retry_at": null
    });
    assert_eq!((&failed["total"], log), (&json!(1), &expected));
    assert!(log["id"].as_str().unwrap().starts_with("log_"), "{log}");
    assert!(log["error"].as_str().unwrap().contains("503"), "{log}");
    for body in [
        json!({"filter": {"status": "FAILED"}}),
        json!({"event": "Message"}),
        json!({"until": "2100-01-01T00:00:00Z", "status": "failed"}),
    ] {
        assert_eq!(search(body).await, failed);
    }
    assert_eq!(search(json!({"event": "All"})).await, all);
    assert_eq!(
        search(json!({"since": "2100-01-01T00:00:00Z"})).await["total"],
        0
    );
    assert_eq!(
        search(json!({"page": 2, "size": 1})).await["content"][0]["event"],
        "Message"
    );
    let nothing = call(&api, Method::POST, &format!("{path}/logs/search"))
        .send()
        .await;
    assert_eq!(data(&nothing), all);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_log_shows_what_was_sent_and_every_attempt_and_is_tried_again() {
    let (app, api, receiver, worker, path) = with_deliveries().await;
    let failed = data(
        &post(
            &api,
            &format!("{path}/logs/search"),
            &json!({"status": "failed"}),
        )
        .await,
    );
    let id = failed["content"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("{path}/logs/{id}");
    let log = data(&call(&api, Method::GET, &path).send().await);
    assert_eq!(
        log["payload"],
        json!({"type": "Message", "event": {"text": "lost"}})
    );
    let history: Vec<Value> = log["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| json!([line["attempt"], line["outcome"], line["status_code"]]))
        .collect();
    assert_eq!(
        history,
        [json!([1, "retry", 503]), json!([2, "failed", 503])]
    );

    let before = receiver.count();
    let retry = call(&api, Method::POST, &format!("{path}/retry"))
        .send()
        .await;
    let expected = json!({"id": id, "status": "pending", "message": "the delivery is tried again"});
    assert_eq!(data(&retry), expected);
    let again = receiver.wait_for(before + 1).await.pop().unwrap();
    assert_eq!(again.json(), log["payload"]);
    app.counted("delivered", 2).await;
    let log = data(&call(&api, Method::GET, &path).send().await);
    assert_eq!(
        (
            &log["status"],
            &log["status_code"],
            log["history"].as_array().unwrap().len()
        ),
        (&json!("delivered"), &json!(200), 3)
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn logs_of_other_endpoints_and_other_instances_are_not_there() {
    let (app, api, _receiver, worker, path) = with_deliveries().await;
    let own = app.endpoint("own").create().await;
    app.emit("order.paid", "{}").await;
    own.receiver.wait_for(1).await;
    app.drained().await;
    app.instance("other").await;
    let (other, _) = ids(&app, "other").await;
    let theirs: i64 = app
        .value(&format!(
            "select id from postrider.webhook_queue where endpoint_id = {}",
            own.id
        ))
        .await;
    let total = data(
        &post(
            &api,
            &format!("{path}/logs/search"),
            &json!({"event": "All"}),
        )
        .await,
    )["total"]
        .clone();
    assert_eq!(total, 3);
    for (path, log) in [
        (path.as_str(), theirs),
        (&format!("/instances/{other}/webhook"), theirs - 1),
    ] {
        for (method, path) in [
            (Method::GET, format!("{path}/logs/log_{log}")),
            (Method::POST, format!("{path}/logs/{log}/retry")),
        ] {
            let answer = call(&api, method, &path).send().await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.text);
        }
    }
    app.finish([worker]).await;
}
