//! The webhook of an instance: every documented request, in every spelling, and what it is sent.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CLIENT, SECRET, access, call, data, ids, post, start, webhook};
use crate::support::app::INSTANCE;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn the_webhook_is_set_and_read_as_documented() {
    let (app, api) = start().await;
    let path = webhook(&app).await;
    let token = access(&api, CLIENT, SECRET).await;
    let body = json!({
        "webhookURL": "https://cliente.exemplo.com/webhooks/whatsapp", "events": "Message,ReadReceipt,Connected,Disconnected"
    });
    let set = api.post(&path).bearer(&token).json(&body).send().await;
    let expected = json!({
        "webhook": "https://cliente.exemplo.com/webhooks/whatsapp", "events": "Message,ReadReceipt,Connected,Disconnected"
    });
    assert_eq!(data(&set), expected);
    let read = api.get(&path).bearer(&token).send().await;
    let expected = json!({
        "webhook": "https://cliente.exemplo.com/webhooks/whatsapp",
        "subscribe": ["Message", "ReadReceipt", "Connected", "Disconnected"]
    });
    assert_eq!(data(&read), expected);
}

#[tokio::test]
async fn the_url_and_the_events_are_taken_in_every_spelling() {
    let (app, api) = start().await;
    let path = webhook(&app).await;
    let url = "https://example.com/hook";
    for field in ["webhookURL", "webhook_url", "webhookUrl", "webhook", "url"] {
        for events in [
            json!("Message,Connected"),
            json!(["Message", "Connected"]),
            json!(["Message, Connected"]),
        ] {
            let set = post(&api, &path, &json!({field: url, "events": events})).await;
            assert_eq!(
                data(&set),
                json!({"webhook": url, "events": "Message,Connected"})
            );
        }
    }
}

#[tokio::test]
async fn events_left_out_stay_and_all_of_them_are_all() {
    let (app, api) = start().await;
    let path = webhook(&app).await;
    let read = || async { data(&call(&api, Method::GET, &path).send().await) };
    assert_eq!(read().await, json!({"webhook": "", "subscribe": []}));
    let set = post(&api, &path, &json!({"webhookURL": "https://example.com/1"})).await;
    assert_eq!(
        data(&set),
        json!({"webhook": "https://example.com/1", "events": "All"})
    );
    post(
        &api,
        &path,
        &json!({"webhookURL": "https://example.com/1", "events": "Presence"}),
    )
    .await;
    let moved = post(&api, &path, &json!({"webhookURL": "https://example.com/2"})).await;
    assert_eq!(
        data(&moved),
        json!({"webhook": "https://example.com/2", "events": "Presence"})
    );
    let all = post(
        &api,
        &path,
        &json!({"webhookURL": "https://example.com/2", "events": ["Presence", "All"]}),
    )
    .await;
    assert_eq!(
        data(&all),
        json!({"webhook": "https://example.com/2", "events": "All"})
    );
    assert_eq!(read().await["subscribe"], json!(["All"]));
}

#[tokio::test]
async fn a_server_may_call_with_client_and_instance_token_together() {
    let (app, api) = start().await;
    let path = webhook(&app).await;
    let (_, token) = ids(&app, INSTANCE).await;
    let both = api
        .get(&path)
        .header("x-client-token", CLIENT)
        .header("x-instance-token", &token);
    assert_eq!(data(&both.send().await)["subscribe"], json!([]));
}

#[tokio::test]
async fn a_callback_is_the_event_as_vzaps_sends_it() {
    let (app, api) = start().await;
    let receiver = Receiver::start().await;
    let path = webhook(&app).await;
    let body = json!({"webhookURL": format!("{}cb", receiver.url()), "events": ["Message", "ReadReceipt"]});
    data(&post(&api, &path, &body).await);
    let worker = app.worker().start().await;
    let native =
        json!({"type": "Message", "event": {"text": "Oi"}, "media_url": "https://example.com/m"});
    app.emit("Message", &native.to_string()).await;
    app.emit("message.status", r#"{"state":"Read"}"#).await;
    app.emit(
        "message.exchange",
        r#"{"message":{"media":{"url":"https://example.com/a.ogg"}}}"#,
    )
    .await;
    for unwanted in ["Presence", "chats.set", "order.paid"] {
        app.emit(unwanted, "{}").await;
    }
    app.drained().await;
    let mut bodies: Vec<Value> = receiver
        .requests()
        .iter()
        .map(|request| {
            assert_eq!(
                (request.method.as_str(), request.path.as_str()),
                ("POST", "/cb")
            );
            request.json()
        })
        .collect();
    bodies.sort_by_key(ToString::to_string);
    let mut expected = [
        native,
        json!({"type": "ReadReceipt", "event": {"state": "Read"}}),
        json!({
            "type": "Message", "event": {"message": {"media": {"url": "https://example.com/a.ogg"}}},
            "media_url": "https://example.com/a.ogg"
        }),
    ];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(bodies, expected);
    app.finish([worker]).await;
}
