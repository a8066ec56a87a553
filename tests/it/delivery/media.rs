//! Media in events: as base64 for those who asked for it, fetched where an event gives its URL alone; taken out for the others.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::app::{Logged, TestApp};
use crate::support::endpoint::Endpoint;
use crate::support::receiver::{Answer, Receiver};
use crate::support::worker::Worker;

/// An endpoint of `RyzeAPI` that wants media as base64, the store its media is in, and a worker.
struct Scene {
    app: TestApp,
    endpoint: Endpoint,
    store: Receiver,
    worker: Worker,
}

impl Scene {
    /// With a worker that fetches at most so many bytes.
    async fn set(media_bytes_max: u32) -> Self {
        let app = TestApp::start().await;
        let endpoint = app
            .endpoint("wants")
            .dialect("ryze")
            .media_base64(true)
            .create()
            .await;
        let worker = app
            .worker()
            .set("limits.media_bytes_max", media_bytes_max)
            .start()
            .await;
        let store = Receiver::start().await;
        Self {
            app,
            endpoint,
            store,
            worker,
        }
    }

    /// Emits a message whose media is at `url`; the data that was delivered, and the attempt.
    async fn deliver(&self, url: &str) -> (Value, Logged) {
        let data = json!({ "message": { "media": { "type": "image", "url": url } } });
        self.app.emit("message.exchange", &data.to_string()).await;
        self.app.drained().await;
        let delivery = self.app.row().await.id;
        let logged = self.app.attempts(delivery).await.remove(0);
        let body = self.endpoint.receiver.requests().remove(0).json();
        (body["data"].clone(), logged)
    }

    /// That it is delivered with its URL, and why is in the log.
    async fn left_alone(self, url: &str, why: &str) {
        let (data, logged) = self.deliver(url).await;
        assert_eq!(
            data,
            json!({ "message": { "media": { "type": "image", "url": url } } })
        );
        assert_eq!(logged.outcome, "delivered");
        let detail = logged.detail.unwrap();
        assert!(
            detail.starts_with("media of ") && detail.contains(why) && !detail.contains("k=secret"),
            "{detail}"
        );
        assert!(detail.ends_with("its URL is left"), "{detail}");
        self.app.finish([self.worker]).await;
    }
}

#[tokio::test]
async fn media_given_by_url_alone_is_embedded_for_those_who_asked_and_nothing_else_changes() {
    let scene = Scene::set(1_000_000).await;
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    scene.store.answer(Answer::ok().body(content.clone()));
    let url = format!("{}pictures/1?k=secret", scene.store.url());
    let (data, logged) = scene.deliver(&url).await;
    assert_eq!(
        data,
        json!({ "message": { "media": { "type": "image", "url": url, "base64": STANDARD.encode(&content) } } })
    );
    assert_eq!(
        (logged.outcome.as_str(), logged.detail),
        ("delivered", None)
    );
    assert_eq!(scene.store.requests()[0].path, "/pictures/1?k=secret");
    scene.app.finish([scene.worker]).await;
}

#[tokio::test]
async fn nothing_is_fetched_for_those_who_did_not_ask_or_where_the_content_is_there() {
    let app = TestApp::start().await;
    let native = app.endpoint("native").create().await;
    let without = app.endpoint("without").media_base64(false).create().await;
    let wants = app
        .endpoint("wants")
        .dialect("ryze")
        .media_base64(true)
        .events(&["with.content"])
        .create()
        .await;
    let store = Receiver::start().await;
    let worker = app.worker().start().await;
    let media = json!({ "media": { "url": store.url() } });
    app.emit("message.exchange", &media.to_string()).await;
    let whole = json!({ "media": { "url": store.url(), "base64": "QUJD" } });
    app.emit("with.content", &whole.to_string()).await;
    app.drained().await;
    assert_eq!((native.receiver.count(), without.receiver.count()), (2, 2));
    assert_eq!(wants.receiver.requests()[0].json()["data"], whole);
    assert_eq!(store.count(), 0);
    app.finish([worker]).await;
}

#[tokio::test]
async fn media_that_is_missing_is_left_as_a_url_and_the_log_says_so() {
    let scene = Scene::set(1_000_000).await;
    scene.store.answer(Answer::status(404));
    let url = format!("{}gone?k=secret", scene.store.url());
    scene.left_alone(&url, "404 Not Found").await;
}

#[tokio::test]
async fn media_larger_than_the_limit_is_left_as_a_url_whether_its_size_is_announced_or_not() {
    let scene = Scene::set(1000).await;
    scene.store.answer(Answer::ok().body(vec![b'x'; 1001]));
    let url = format!("{}large", scene.store.url());
    scene
        .left_alone(&url, "larger than limits.media_bytes_max, 1000 bytes")
        .await;

    let scene = Scene::set(1000).await;
    scene.store.answer(Answer::ok().endless(Duration::ZERO));
    let url = format!("{}endless", scene.store.url());
    scene
        .left_alone(&url, "larger than limits.media_bytes_max, 1000 bytes")
        .await;
}

#[tokio::test]
async fn media_at_a_private_address_is_not_fetched() {
    let scene = Scene::set(1000).await;
    scene
        .left_alone(
            "http://169.254.169.254/latest/meta-data?k=secret",
            "169.254.169.254 is not",
        )
        .await;
}

#[tokio::test]
async fn media_whose_server_never_answers_costs_one_timeout_and_the_event_goes_out() {
    let app = TestApp::start().await;
    let endpoint = app
        .endpoint("wants")
        .dialect("ryze")
        .media_base64(true)
        .timeout_ms(1000)
        .create()
        .await;
    let worker = app.worker().start().await;
    let store = Receiver::start().await;
    store.answer(Answer::hang());
    let scene = Scene {
        app,
        endpoint,
        store,
        worker,
    };
    let url = format!("{}slow", scene.store.url());
    scene.left_alone(&url, "not there in time").await;
}

#[tokio::test]
async fn a_failed_attempt_says_both_what_the_receiver_answered_and_that_media_is_missing() {
    let scene = Scene::set(1000).await;
    scene.store.answer(Answer::status(500));
    scene
        .endpoint
        .receiver
        .answer_in_turn([Answer::status(503), Answer::ok()]);
    let url = format!("{}x", scene.store.url());
    let (_, logged) = scene.deliver(&url).await;
    let detail = logged.detail.unwrap();
    assert!(
        detail.starts_with("503 Service Unavailable; media of 127.0.0.1 is not embedded: 500"),
        "{detail}"
    );
    scene.app.finish([scene.worker]).await;
}

#[tokio::test]
async fn media_is_taken_out_of_whatever_json_there_is_and_emit_never_fails_of_it() {
    let app = TestApp::start().await;
    let strip = async |data: &str| -> String {
        sqlx::query_scalar("select postrider.without_media_base64($1::json)::text")
            .bind(data)
            .fetch_one(app.pool())
            .await
            .unwrap()
    };
    for (data, expected) in [
        (
            r#"{"message":{"media":{"base64":"QQ","u":"x\u0000y \\u0041 \\\u0041 \n\\"}},"z":"\ud800","q":"\"\\\\u"}"#,
            r#"{"message":{"media":{"u":"x\u0000y \\u0041 \\\u0041 \n\\"}},"z":"\ud800","q":"\"\\\\u"}"#,
        ),
        (
            r#"{"message":{"base64":"QQ","mediaUrl":"u"}}"#,
            r#"{"message":{"mediaUrl":"u"}}"#,
        ),
        (r#"{"media_url":"u","base64":"QQ"}"#, r#"{"media_url":"u"}"#),
        // No media, or no place for it.
        (
            r#"{"qrcode":{"base64":"QQ"},"base64":"QQ"}"#,
            r#"{"qrcode":{"base64":"QQ"},"base64":"QQ"}"#,
        ),
        (r#"[{"base64":"QQ"}]"#, r#"[{"base64":"QQ"}]"#),
        (
            r#"{"message":["base64"],"media":7,"base64":1}"#,
            r#"{"message":["base64"],"media":7,"base64":1}"#,
        ),
        (r#""base64""#, r#""base64""#),
    ] {
        let stripped = strip(data).await;
        let canonical = |text: &str| text.replace("\\\\", "B").replace("\\u", "U");
        let parsed = |text: &str| serde_json::from_str::<Value>(&canonical(text)).unwrap();
        assert_eq!(parsed(&stripped), parsed(expected), "{data}");
        app.emit("message.exchange", data).await;
    }
    // Past what Postgres counts with: better whole than not at all.
    let large = r#"{"media":{"base64":"QQ","size":1e999999}}"#;
    assert_eq!(strip(large).await, large);
}
