//! What the webhooks of `CodeChat` are sent.

use reqwest::Method;
use serde_json::{Value, json};

use super::{enabled, instance_uid, start};
use crate::support::api::ACCOUNT;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn a_callback_has_codechats_envelope_and_headers() {
    let (app, api) = start().await;
    app.sql("update postrider.instances set sender = '5511999999999@s.whatsapp.net'")
        .await;
    let receiver = Receiver::start().await;
    enabled(&api, &format!("{}callback", receiver.url())).await;
    let worker = app.worker().start().await;
    app.emit("message.exchange", r#"{"text": "Oi", "n": 1.0}"#)
        .await;
    let request = receiver.wait_for(1).await.remove(0);
    let uid = instance_uid(&app).await;
    for header in ["x-businessId", "x-instanceId", "x-whatsappId"] {
        assert_eq!(request.header(header), uid, "{header}");
    }
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/callback")
    );
    let body = request.json();
    let created = &body["instance"]["createdAt"];
    assert_eq!(created.as_str().map(str::len), Some(24), "{body}");
    let expected = json!({
        "event": "messages.upsert",
        "instance": {
            "instanceId": uid, "name": "shop", "state": "active", "connection": "open", "createdAt": created,
            "WhatsApp": {
                "whatsappId": uid, "remoteJid": "5511999999999@s.whatsapp.net", "pictureUrl": null, "pushName": "shop",
                "createdAt": created
            },
            "Business": {"businessId": uid, "name": "shop"}
        },
        "data": {"text": "Oi", "n": 1.0}
    });
    assert_eq!(body, expected);
    app.drained().await;
    app.finish([worker]).await;
}

#[tokio::test]
async fn only_what_is_switched_on_is_sent_under_whichever_name_it_was_emitted() {
    let (app, api) = start().await;
    let receiver = Receiver::start().await;
    let path = enabled(&api, &receiver.url()).await;
    let off = json!({"messagesUpdate": false, "chatsSet": false});
    let path = format!("{path}/events");
    let answer = api
        .call(Method::PATCH, &path)
        .bearer(ACCOUNT)
        .json(&off)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let worker = app.worker().start().await;
    // By CodeChat's own name, by RyzeAPI's, by VZaps'.
    for event in [
        "messages.update",
        "message.status",
        "ReadReceipt",
        "chats.set",
        "order.paid",
    ] {
        app.emit(event, "{}").await;
    }
    for event in ["messages.upsert", "Message", "presence.update"] {
        app.emit(event, "{}").await;
    }
    app.drained().await;
    let mut seen: Vec<Value> = receiver
        .requests()
        .iter()
        .map(|request| request.json()["event"].clone())
        .collect();
    seen.sort_by_key(ToString::to_string);
    assert_eq!(
        seen,
        ["messages.upsert", "messages.upsert", "presence.update"]
    );
    app.finish([worker]).await;
}

#[tokio::test]
async fn with_every_switch_on_other_events_come_too_and_with_all_off_or_disabled_none() {
    let (app, api) = start().await;
    let (all, none, disabled) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    enabled(&api, &all.url()).await;
    let path = format!("{}/events", enabled(&api, &none.url()).await);
    let mut off: Value = super::SWITCHES
        .iter()
        .map(|switch| ((*switch).to_owned(), json!(false)))
        .collect();
    off["callUpsert"] = json!(false);
    let answer = api
        .call(Method::PATCH, &path)
        .bearer(ACCOUNT)
        .json(&off)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let made = super::create(&api, &json!({"name": "off", "url": disabled.url()})).await;
    assert_eq!(made.status, 201);
    let worker = app.worker().start().await;
    for event in ["order.paid", "messages.upsert", "call.upsert"] {
        app.emit(event, "{}").await;
    }
    app.drained().await;
    assert_eq!((all.count(), none.count(), disabled.count()), (3, 0, 0));
    app.finish([worker]).await;
}
