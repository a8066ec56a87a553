//! `/webhook/set` and `/webhook/find`, and what is then delivered.

use serde_json::{Value, json};

use super::{create, global, message, start};
use crate::support::app::TestApp;
use crate::support::receiver::Receiver;

/// The body of the documentation.
fn documented() -> Value {
    json!({"webhook": {"enabled": true, "url": "https://example.com/hook", "headers": {"X-A": "1"}, "byEvents": false,
        "base64": false, "events": ["MESSAGES_UPSERT", "GROUP_UPDATE"]}})
}

#[tokio::test]
async fn the_webhook_is_set_and_found_as_documented() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let key = create(&api, "my-instance").await;
    let none = api
        .get("/webhook/find/my-instance")
        .header("apikey", &key)
        .send()
        .await;
    assert_eq!((none.status, none.text.as_str()), (200, "null"));
    let set = api
        .post("/webhook/set/my-instance")
        .header("apikey", &key)
        .json(&documented())
        .send()
        .await;
    assert_eq!(set.status, 201, "{set:?}");
    let row = set.json();
    let instance: String = app
        .value("select uid::text from postrider.instances where name = 'my-instance'")
        .await;
    assert_eq!(
        row,
        json!({
            "id": row["id"], "url": "https://example.com/hook", "headers": {"X-A": "1"}, "enabled": true,
            "events": ["MESSAGES_UPSERT", "GROUP_UPDATE"], "webhookByEvents": false, "webhookBase64": false,
            "createdAt": row["createdAt"], "updatedAt": row["updatedAt"], "instanceId": instance
        })
    );
    assert!(row["createdAt"].as_str().unwrap().ends_with('Z'));
    let found = global(api.get("/webhook/find/my-instance")).send().await;
    assert_eq!((found.status, found.json()), (200, row));
}

#[tokio::test]
async fn one_that_is_set_again_is_the_same_and_what_is_left_out_stays() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    let set = async |body: Value| {
        global(api.post("/webhook/set/x"))
            .json(&body)
            .send()
            .await
            .json()
    };
    let first = set(documented()).await;
    let again = set(
        json!({"webhook": {"enabled": true, "url": "https://example.com/other", "byEvents": true}}),
    )
    .await;
    assert_eq!(again["id"], first["id"]);
    assert_eq!(again["url"], "https://example.com/other");
    assert_eq!(again["headers"], json!({"X-A": "1"}));
    assert_eq!(again["webhookByEvents"], true);
    // No events are all of them.
    assert_eq!(again["events"].as_array().unwrap().len(), 31);
    let off = set(json!({"webhook": {"enabled": false, "url": "https://example.com/other", "headers": null, "events": ["CALL"]}})).await;
    assert_eq!(
        (&off["enabled"], &off["events"], &off["headers"]),
        (&json!(false), &json!([]), &Value::Null)
    );
}

#[tokio::test]
async fn older_spellings_of_the_body_are_the_same() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    let bodies = [
        json!({"webhook": {"enabled": true, "url": "https://example.com/h", "webhookByEvents": true, "webhookBase64": true, "events": ["CALL"]}}),
        json!({"url": "https://example.com/h", "webhook_by_events": true, "webhook_base64": true, "events": ["CALL"]}),
        json!({"enabled": true, "url": "https://example.com/h", "webhookByEvents": true, "webhookBase64": true, "events": ["CALL"]}),
    ];
    for body in bodies {
        let row = global(api.post("/webhook/set/x"))
            .json(&body)
            .send()
            .await
            .json();
        let expected = json!(["https://example.com/h", true, true, true, ["CALL"]]);
        let shown = json!([
            row["url"],
            row["enabled"],
            row["webhookByEvents"],
            row["webhookBase64"],
            row["events"]
        ]);
        assert_eq!(shown, expected, "{body}");
    }
}

/// Bodies that set no webhook, and how the answer begins.
fn impossible_webhooks() -> Vec<(Value, &'static str)> {
    let url = "https://example.com/h";
    vec![
        (
            json!({"webhook": {"enabled": true}}),
            "webhook requires property \"url\"",
        ),
        (json!({}), "instance requires property \"webhook\""),
        (json!([]), "instance is not of a type(s) object"),
        (
            json!({"webhook": {"enabled": "yes", "url": url}}),
            "webhook.enabled is not of a type(s) boolean",
        ),
        (
            json!({"webhook": {"enabled": true, "url": 7}}),
            "webhook.url is not of a type(s) string",
        ),
        (
            json!({"webhook": {"enabled": true, "url": ""}}),
            "The \"url\" cannot be empty",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "events": "CALL"}}),
            "webhook.events is not of a type(s) array",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "events": ["message.exchange"]}}),
            "webhook.events[0] is not one of enum values: APPLICATION_STARTUP,",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "events": ["'; drop table x; --"]}}),
            "webhook.events[0] is not one of enum values",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "headers": {"a b": "c"}}}),
            "webhook.headers \"a b\" cannot name a header",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "headers": {"X": "a\r\nb"}}}),
            "webhook.headers \"X\" has characters",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "headers": {"webhook-id": "1"}}}),
            "webhook.headers \"webhook-id\" is one that Postrider sets",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "headers": [1]}}),
            "webhook.headers is not of a type(s) object",
        ),
        (
            json!({"webhook": {"enabled": true, "url": url, "base64": 1}}),
            "webhook.base64 is not of a type(s) boolean",
        ),
    ]
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_in_its_words_and_changes_nothing() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    for (body, expected) in impossible_webhooks() {
        let answer = global(api.post("/webhook/set/x")).json(&body).send().await;
        let said = message(&answer, 400, "Bad Request");
        let first = said[0][0].as_str().unwrap_or_default();
        assert!(first.starts_with(expected), "{body}: {said}");
    }
    for bad in [
        "no url",
        "ftp://example.com",
        "javascript:alert(1)",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://localhost./",
        "https://exa mple.com",
        "https://",
    ] {
        let body = json!({"webhook": {"enabled": true, "url": bad}});
        let api = app.api().start().await;
        let answer = global(api.post("/webhook/set/x")).json(&body).send().await;
        let said = message(&answer, 400, "Bad Request");
        let said = said[0].as_str().unwrap();
        assert!(
            said.starts_with("Invalid \"url\" property"),
            "{bad}: {said}"
        );
    }
    let long = format!("https://example.com/{}", "x".repeat(3000));
    let answer = global(api.post("/webhook/set/x"))
        .json(&json!({"webhook": {"enabled": true, "url": long}}))
        .send()
        .await;
    message(&answer, 400, "Bad Request");
    let endpoints: i64 = app.value("select count(*) from postrider.endpoints").await;
    assert_eq!(endpoints, 0);
}

#[tokio::test]
async fn an_event_is_delivered_in_the_documented_envelope_with_the_headers_that_were_set() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    let receiver = Receiver::start().await;
    let key = create(&api, "my-instance").await;
    let set = global(api.post("/webhook/set/my-instance"))
        .json(&json!({"webhook": {"enabled": true, "url": receiver.url(), "byEvents": true, "base64": true,
            "headers": {"Authorization": "Bearer your-token", "X-Instance": "production-bot"},
            "events": ["MESSAGES_UPSERT", "CONNECTION_UPDATE"]}}))
        .send()
        .await;
    assert_eq!(set.status, 201);
    let worker = app.worker().start().await;
    let data = r#"{"key": {"remoteJid":"5511999999999@s.whatsapp.net"}, "message": {"conversation":"Hello World!", "base64": "aGk="}}"#;
    for event_type in ["messages.upsert", "message.exchange", "messages.update"] {
        app.sql(&format!(
            "select postrider.emit('my-instance', '{event_type}', '{data}')"
        ))
        .await;
    }
    let requests = receiver.wait_for(2).await;
    app.drained().await;
    assert_eq!(receiver.count(), 2);
    for request in requests {
        assert!(
            request.path.ends_with("/messages-upsert"),
            "{}",
            request.path
        );
        assert_eq!(request.header("authorization"), "Bearer your-token");
        assert_eq!(request.header("x-instance"), "production-bot");
        let body = request.json();
        assert_eq!(body["event"], "messages.upsert");
        assert_eq!(body["data"], serde_json::from_str::<Value>(data).unwrap());
        assert_eq!(
            (&body["instance"], &body["apikey"]),
            (&json!("my-instance"), &json!(key))
        );
        assert_eq!(body["destination"], receiver.url());
    }
    app.finish([worker]).await;
}

#[tokio::test]
async fn the_token_stays_at_home_where_it_is_not_to_be_exposed() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("default").dialect("evolution").create().await;
    let worker = app
        .worker()
        .set("evolution.expose_token", "false")
        .start()
        .await;
    app.emit("messages.upsert", "{}").await;
    app.drained().await;
    assert_eq!(
        endpoint.receiver.requests()[0].json()["apikey"],
        Value::Null
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn find_answers_with_its_own_and_otherwise_with_the_one_called_default() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    let find = async || global(api.get("/webhook/find/x")).send().await.json();
    let set = async |label: &str, dialect: &str| {
        app.sql(&format!(
            "select postrider.set_endpoint('x', 'https://{dialect}.example/{label}', '{label}', null, '{dialect}', headers => '{{\"a\":\"b\"}}')"
        ))
        .await;
    };
    set("other", "postrider").await;
    assert_eq!(find().await, Value::Null);
    set("default", "ryze").await;
    let foreign = find().await;
    assert_eq!(foreign["url"], "https://ryze.example/default");
    // What another API keeps secret is not this one's to show.
    assert_eq!(foreign["headers"], Value::Null);
    set("mine", "evolution").await;
    assert_eq!(find().await["url"], "https://evolution.example/mine");
    set("default", "evolution").await;
    assert_eq!(find().await["url"], "https://evolution.example/default");
}
