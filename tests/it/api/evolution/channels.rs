//! `set` and `find` of websocket, rabbitmq, sqs and pusher.

use serde_json::{Value, json};

use super::{create, global, message, start};
use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;

#[tokio::test]
async fn every_channel_is_set_and_found() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    for channel in ["websocket", "rabbitmq", "sqs"] {
        let none = global(api.get(&format!("/{channel}/find/x"))).send().await;
        assert_eq!((none.status, none.text.as_str()), (200, "null"));
        let set = global(api.post(&format!("/{channel}/set/x")))
            .json(
                &json!({channel: {"enabled": true, "events": ["MESSAGES_UPSERT", "SEND_MESSAGE"]}}),
            )
            .send()
            .await;
        assert_eq!(set.status, 201, "{set:?}");
        let row = set.json();
        let keys: Vec<_> = row
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "createdAt",
                "enabled",
                "events",
                "id",
                "instanceId",
                "updatedAt"
            ]
        );
        assert_eq!(row["events"], json!(["MESSAGES_UPSERT", "SEND_MESSAGE"]));
        let found = global(api.get(&format!("/{channel}/find/x"))).send().await;
        assert_eq!(found.json(), row);
        // As the evolutionapi package of PyPI sends it.
        let flat = global(api.post(&format!("/{channel}/set/x")))
            .json(&json!({"enabled": true, "events": []}))
            .send()
            .await;
        assert_eq!(flat.json()["events"].as_array().unwrap().len(), 31);
        let off = global(api.post(&format!("/{channel}/set/x")))
            .json(&json!({channel: {"enabled": false}}))
            .send()
            .await;
        assert_eq!(
            (&off.json()["enabled"], &off.json()["events"]),
            (&json!(false), &json!([]))
        );
        let wrong = global(api.post(&format!("/{channel}/set/x")))
            .json(&json!({channel: {"events": ["NOTHING"]}}))
            .send()
            .await;
        let said = message(&wrong, 400, "Bad Request");
        assert_eq!(
            said[0][0],
            format!("{channel} requires property \"enabled\"")
        );
        assert!(
            said[0][1]
                .as_str()
                .unwrap()
                .starts_with(&format!("{channel}.events[0] is not one of"))
        );
    }
}

#[tokio::test]
async fn a_pusher_application_is_kept_with_its_credentials() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    let body = json!({"pusher": {"enabled": true, "appId": "1", "key": "k", "secret": "s3cret", "cluster": "us2", "useTLS": true, "events": []}});
    let set = global(api.post("/pusher/set/x")).json(&body).send().await;
    assert_eq!(set.status, 201, "{set:?}");
    let found = global(api.get("/pusher/find/x")).send().await.json();
    assert_eq!(found, set.json());
    for name in ["appId", "key", "secret", "cluster", "useTLS"] {
        assert_eq!(found[name], body["pusher"][name], "{name}");
    }
    let mut lacking = body.clone();
    lacking["pusher"].as_object_mut().unwrap().remove("cluster");
    lacking["pusher"]["secret"] = json!("");
    let wrong = global(api.post("/pusher/set/x"))
        .json(&lacking)
        .send()
        .await;
    assert_eq!(
        message(&wrong, 400, "Bad Request"),
        json!([[
            "pusher requires property \"cluster\"",
            "The \"secret\" cannot be empty"
        ]])
    );
    assert_eq!(global(api.get("/pusher/find/x")).send().await.json(), found);
}

#[tokio::test]
async fn a_pusher_application_is_one_and_the_same_here_and_in_the_native_api() {
    let app = TestApp::start().await;
    let api = start(&app).await;
    create(&api, "x").await;
    let body = json!({"pusher": {"enabled": true, "appId": "1", "key": "k", "secret": "s3cret", "cluster": "us2", "useTLS": true}});
    let set = global(api.post("/pusher/set/x")).json(&body).send().await;
    assert_eq!(set.status, 201, "{set:?}");
    let listed = api.get("/v1/endpoints?channel=pusher").bearer(ACCOUNT);
    let endpoint = listed.send().await.json()["items"][0].clone();
    assert_eq!(
        endpoint["settings"],
        json!({"app_id": "1", "key": "k", "secret": "********", "cluster": "us2", "use_tls": true})
    );
    let other =
        json!({"app_id": "2", "key": "l", "secret": "0ther", "cluster": "eu", "use_tls": false});
    let one = format!("/v1/endpoints/{}", endpoint["id"]);
    let change = api.call(reqwest::Method::PATCH, &one).bearer(ACCOUNT);
    let patched = change.json(&json!({"settings": other})).send().await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let found = global(api.get("/pusher/find/x")).send().await.json();
    for (name, kept) in [
        ("appId", "app_id"),
        ("key", "key"),
        ("secret", "secret"),
        ("cluster", "cluster"),
        ("useTLS", "use_tls"),
    ] {
        assert_eq!(found[name], other[kept], "{name}");
    }
}

#[tokio::test]
async fn credentials_rest_sealed() {
    let app = TestApp::start().await;
    let api = app
        .api()
        .set(
            "encryption.key",
            "'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE='",
        )
        .start()
        .await;
    create(&api, "x").await;
    let body = json!({"pusher": {"enabled": true, "appId": "1", "key": "k", "secret": "s3cret", "cluster": "us2", "useTLS": true}});
    global(api.post("/pusher/set/x")).json(&body).send().await;
    let body = json!({"webhook": {"enabled": true, "url": "https://example.com", "headers": {"Authorization": "Bearer s3cret"}}});
    global(api.post("/webhook/set/x")).json(&body).send().await;
    let whole: String = app
        .value("select string_agg(e::text, ' ') || (select string_agg(i::text, ' ') from postrider.instances i where i.name = 'x') from postrider.endpoints e")
        .await;
    assert!(!whole.contains("s3cret"), "{whole}");
    let found = global(api.get("/pusher/find/x")).send().await.json();
    assert_eq!(found["secret"], "s3cret");
    // With the key lost, they are not shown, and the rest is.
    let keyless = app.api().start().await;
    let found = global(keyless.get("/webhook/find/x")).send().await.json();
    assert_eq!(
        (&found["headers"], &found["url"]),
        (&Value::Null, &json!("https://example.com"))
    );
}
