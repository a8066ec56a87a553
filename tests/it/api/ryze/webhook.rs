//! Webhooks by label.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{INSTANCE, KEY, Ryze, failed};
use crate::support::api::ACCOUNT;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn a_label_says_which_webhook_and_each_wrong_one_is_told_in_the_documented_words() {
    let ryze = Ryze::start().await;
    let path = |label: &str| format!("/api/events/getWebhook/{INSTANCE}?label={label}");
    failed(
        &ryze.get(&path("")).await,
        404,
        "Webhook not configured for this label",
    );
    assert_eq!(ryze.webhooks().await, json!([]));
    failed(
        &ryze.get(&path(&"a".repeat(51))).await,
        400,
        "label too long (max 50 chars)",
    );
    for odd in ["a.b", "a%20b", "%C3%A9", "a'--", "%00", "a%2Fb"] {
        failed(
            &ryze.get(&path(odd)).await,
            400,
            "label may only contain letters, digits, underscore or dash",
        );
    }
    failed(
        &ryze.get("/api/events/getWebhook/nobody?label=x").await,
        404,
        "Instance not found",
    );
    let url = "https://app.example.com/";
    for label in ["zeta", "Alpha", "default", &"a".repeat(50)] {
        let body = json!({ "label": label, "enabled": false, "url": url });
        assert_eq!(ryze.webhook(&body).await["label"], label);
    }
    let unlabelled = json!({ "enabled": true, "url": url, "label": "" });
    assert_eq!(ryze.webhook(&unlabelled).await["label"], "default");
    let labels: Vec<Value> = ryze
        .webhooks()
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|webhook| webhook["label"].clone())
        .collect();
    assert_eq!(
        json!(labels),
        json!(["Alpha", "a".repeat(50), "default", "zeta"])
    );
    let one = ryze.get(&path("zeta")).await.json();
    assert_eq!(one["webhook"]["label"], "zeta");
    assert_eq!(one.get("webhooks"), None);
}

#[tokio::test]
async fn setting_a_webhook_overwrites_all_of_it_and_doing_so_twice_changes_nothing() {
    let ryze = Ryze::start().await;
    let full = json!({
        "label": "default", "enabled": true, "url": "https://app.example.com/a", "authorization": "Bearer \"x\" é",
        "byEvents": true, "events": ["label.update", "call.update"], "mediaBase64": true
    });
    assert_eq!(ryze.webhook(&full).await, full);
    assert_eq!(ryze.webhook(&full).await, full);
    let sparse = json!({ "enabled": true, "url": "https://app.example.com/b" });
    let kept = ryze.webhook(&sparse).await;
    assert_eq!(
        kept,
        json!({
            "label": "default", "enabled": true, "url": "https://app.example.com/b", "authorization": null, "byEvents": false,
            "events": ["message.exchange", "message.status", "call.update", "group.flow", "instance.state", "label.update"],
            "mediaBase64": false
        })
    );
    assert_eq!(ryze.webhooks().await, json!([kept]));
}

#[tokio::test]
async fn at_most_three_are_enabled_counting_only_those_made_this_way() {
    let ryze = Ryze::start().await;
    let native =
        "select postrider.set_endpoint('my-instance', 'https://app.example.com/', 'native')";
    ryze.app.sql(native).await;
    let webhook = |label: &str, enabled: bool| json!({ "label": label, "enabled": enabled, "url": "https://app.example.com/" });
    ryze.webhook(&webhook("off", false)).await;
    // All at once: what is counted stays so.
    let path = format!("/api/events/webhook/{INSTANCE}");
    let labels = ["a", "b", "c", "d", "e", "f"];
    let bodies = labels.map(|label| webhook(label, true));
    let answers = join_all(bodies.iter().map(|body| ryze.post(&path, body))).await;
    let set = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(set, 3, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        failed(refused, 400, "Maximum of 3 enabled webhooks reached");
    }
    let webhooks = ryze.webhooks().await;
    let enabled: Vec<_> = webhooks
        .as_array()
        .unwrap()
        .iter()
        .filter(|webhook| webhook["enabled"] == true)
        .collect();
    assert_eq!(enabled.len(), 3, "{webhooks}");
    // One that is paused by us is still enabled to its owner, and counts.
    ryze.app
        .sql("update postrider.endpoints set state = 'paused' where dialect = 'ryze' and state = 'enabled'")
        .await;
    failed(
        &ryze.post(&path, &webhook("off", true)).await,
        400,
        "Maximum of 3 enabled webhooks reached",
    );
    let first = enabled[0]["label"].as_str().unwrap();
    assert_eq!(ryze.webhook(&webhook(first, true)).await["enabled"], true);
    ryze.webhook(&webhook(first, false)).await;
    assert_eq!(ryze.webhook(&webhook("off", true)).await["enabled"], true);
}

#[tokio::test]
async fn a_disabled_webhook_gets_nothing_and_an_enabled_one_the_documented_envelope() {
    let ryze = Ryze::start().await;
    let (on, off) = (Receiver::start().await, Receiver::start().await);
    let private = ryze.app.api().set("egress.allow", "['127.0.0.0/8']");
    let api = private.start().await;
    for (label, enabled, receiver) in [("on", true, &on), ("off", false, &off)] {
        let call = api.post(&format!("/api/events/webhook/{INSTANCE}"));
        let body = json!({ "label": label, "enabled": enabled, "url": receiver.url(), "byEvents": true, "events": ["message.exchange"] });
        let answer = call.header("token", ACCOUNT).json(&body).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let worker = ryze
        .app
        .worker()
        .set("encryption.key", format!("'{KEY}'"))
        .start()
        .await;
    ryze.app
        .sql("select postrider.emit('my-instance', 'messages.upsert', '{\"text\":\"hi\"}')")
        .await;
    ryze.app
        .sql("select postrider.emit('my-instance', 'label.update', '{}')")
        .await;
    ryze.app.drained().await;
    let requests = on.wait_for(1).await;
    assert_eq!(requests[0].path, "/message.exchange");
    assert_eq!(
        requests[0].json(),
        json!({
            "event": "message.exchange",
            "data": { "text": "hi" },
            "instanceData": { "baseUrl": "http://127.0.0.1", "instance": INSTANCE, "token": ryze.token }
        })
    );
    assert_eq!((on.count(), off.count()), (1, 0));
    ryze.app.finish([worker]).await;
}

#[tokio::test]
async fn authorization_rests_sealed_comes_back_as_it_was_sent_and_encrypted_where_its_key_is_gone()
{
    let ryze = Ryze::start().await;
    let sent = "Basic dXNlcjpwYXNz \"quoted\"";
    let body = json!({ "enabled": true, "url": "https://app.example.com/", "authorization": sent });
    assert_eq!(ryze.webhook(&body).await["authorization"], sent);
    let stored: String = ryze
        .app
        .value("select authorization_header from postrider.endpoints where dialect = 'ryze'")
        .await;
    assert!(stored.starts_with("sealed:v1:"), "{stored}");
    let other = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let rotated = ryze.app.api().set("encryption.key", format!("'{other}'"));
    let rotated = rotated.start().await;
    for path in ["?label=", ""] {
        let path = format!("/api/events/getWebhook/{INSTANCE}{path}");
        let answer = rotated.get(&path).header("token", ACCOUNT).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text.contains(&stored), "{answer:?}");
    }
}

#[tokio::test]
async fn a_webhook_is_deleted_by_its_label() {
    let ryze = Ryze::start().await;
    for label in ["default", "other"] {
        let body = json!({ "label": label, "enabled": true, "url": "https://app.example.com/" });
        ryze.webhook(&body).await;
    }
    let path = format!("/api/events/webhook/{INSTANCE}");
    let answer = ryze.delete(&format!("{path}?label=other")).await;
    assert_eq!(
        answer.json(),
        json!({ "success": true, "message": "Webhook deleted successfully" })
    );
    assert_eq!(ryze.webhooks().await[0]["label"], "default");
    failed(
        &ryze.delete(&format!("{path}?label=other")).await,
        404,
        "Webhook not configured for this label",
    );
    assert_eq!(ryze.delete(&path).await.status, 200);
    assert_eq!(ryze.webhooks().await, json!([]));
}

#[tokio::test]
async fn what_the_database_cannot_answer_is_told_in_the_documented_words() {
    let ryze = Ryze::start().await;
    let words = [
        ("getWebhook", "", "Failed to list webhook configurations"),
        ("getWebhook", "?label=default", "Failed to get instance"),
        ("getWebsocket", "", "Failed to get websocket configuration"),
    ];
    for table in ["endpoints", "instances"] {
        ryze.app
            .sql(&format!("alter table postrider.{table} rename to hidden"))
            .await;
        for (route, query, text) in words {
            let path = format!("/api/events/{route}/{INSTANCE}{query}");
            let answer = ryze.get(&path).await;
            let text = match table {
                "endpoints" => text,
                _ => "Failed to get instance",
            };
            assert_eq!(answer.status, 500, "{path}: {answer:?}");
            assert_eq!(
                answer.json(),
                json!({"success": false, "error": {"message": text}}),
                "{path} without {table}"
            );
        }
        ryze.app
            .sql(&format!("alter table postrider.hidden rename to {table}"))
            .await;
    }
}
