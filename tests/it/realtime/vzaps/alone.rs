//! What the SDK never does, with a raw client.

use serde_json::{Value, json};

use super::super::raw::{Client, Request};
use super::super::sidecar::{Sidecar, sidecar};
use super::{CLIENT, credentials, emit, ids};
use crate::support::api::ACCOUNT;
use crate::support::app::{INSTANCE, TestApp};
use crate::support::wait::{PATIENCE, until};

/// A request without a token in a header, as a browser makes it; the status of the response, and its body where there is one.
async fn connect(sidecar: &Sidecar, query: &str) -> (Client, u16, Value) {
    let request = Request::to(format!("/events/ws?{query}")).nobody();
    let (mut client, head) = request.upgrade(sidecar.address).await;
    let body = client.body(&head).await;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (client, head.status, body)
}

/// One that is connected.
async fn connected(sidecar: &Sidecar, query: &str) -> Client {
    let (client, status, body) = connect(sidecar, query).await;
    assert_eq!(status, 101, "{body}");
    client
}

/// The number of the next event.
async fn number(client: &mut Client) -> Value {
    client.message().await["data"]["event"]["n"].take()
}

/// Acknowledges an event.
async fn acknowledge(client: &mut Client, id: &str) {
    let text = json!({"type": "ack", "event_id": id}).to_string();
    client.send(1, text.as_bytes()).await;
}

/// Closes, and waits for the answer.
async fn close(mut client: Client) {
    client.send(8, &1000_u16.to_be_bytes()).await;
    while client.frame().await.0 != 8 {}
}

/// The query of a client that shows its client token and the instance's.
async fn own_query(app: &TestApp) -> String {
    let (id, token) = ids(app, INSTANCE).await;
    format!("instance_id={id}&client_token={CLIENT}&instance_token={token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_comes_again_and_acknowledgements_count_more_than_an_old_position()
{
    let app = TestApp::start().await;
    credentials(&app).await;
    let sidecar = sidecar(&app).await;
    let query = own_query(&app).await;
    let mut client = connected(&sidecar, &query).await;
    let mut sent = Vec::new();
    for n in 1..=4 {
        sent.push(emit(&app, n).await);
        assert_eq!(number(&mut client).await, n);
    }
    acknowledge(&mut client, &sent[0]).await;
    // Nonsense harms nothing.
    for text in [
        "",
        "{}",
        "nonsense",
        r#"{"type":"ack","event_id":""}"#,
        r#"{"type":"ack","event_id":"evt_9_9"}"#,
    ] {
        client.send(1, text.as_bytes()).await;
    }
    acknowledge(&mut client, &sent[2]).await;
    client.send(9, b"still there").await;
    assert_eq!(client.frame().await, (0xA, b"still there".to_vec()));
    close(client).await;

    // The Go and TypeScript SDKs say for ever where they began.
    let old = format!("{query}&last_event_id={}", sent[0]);
    let mut client = connected(&sidecar, &old).await;
    emit(&app, 5).await;
    for n in [2, 4, 5] {
        assert_eq!(number(&mut client).await, n);
    }
    close(client).await;
    // None of it was acknowledged. The other process knows nothing but what is written down.
    let other = self::sidecar(&app).await;
    let mut client = connected(&other, &query).await;
    for n in [2, 4, 5] {
        assert_eq!(number(&mut client).await, n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_counts_where_nothing_is_known_and_one_that_is_unknown_gives_everything() {
    let app = TestApp::start().await;
    credentials(&app).await;
    let sidecar = sidecar(&app).await;
    let query = own_query(&app).await;
    let first = emit(&app, 1).await;
    emit(&app, 2).await;
    let mut client = connected(&sidecar, &format!("{query}&last_event_id={first}")).await;
    assert_eq!(number(&mut client).await, 2);
    let unknown = format!("{query}&events=Message&last_event_id=evt_of_another_system");
    let mut client = connected(&sidecar, &unknown).await;
    for n in [1, 2] {
        assert_eq!(number(&mut client).await, n);
    }
    // Without one: from now on.
    let mut client = connected(&sidecar, &format!("{query}&events=All&last_event_id=")).await;
    emit(&app, 3).await;
    assert_eq!(number(&mut client).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_before_it_was_acknowledged_does_not_lock_a_client_out() {
    let app = TestApp::start().await;
    credentials(&app).await;
    let sidecar = sidecar(&app).await;
    let query = own_query(&app).await;
    let mut client = connected(&sidecar, &query).await;
    emit(&app, 1).await;
    let second = emit(&app, 2).await;
    for n in [1, 2] {
        assert_eq!(number(&mut client).await, n);
    }
    acknowledge(&mut client, &second).await;
    close(client).await;
    emit(&app, 3).await;
    emit(&app, 4).await;
    app.sql("delete from postrider.events where data::text not like '%4%'")
        .await;
    let other = self::sidecar(&app).await;
    let mut client = connected(&other, &query).await;
    assert_eq!(number(&mut client).await, 4);
    close(client).await;
    until(
        "what is gone is no longer waited for",
        PATIENCE,
        async || {
            app.value::<bool>("select bool_and(unacknowledged = '{}') from postrider.subscriptions")
                .await
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_events_a_client_hears_those_of_the_instances_webhook() {
    let app = TestApp::start().await;
    credentials(&app).await;
    app.sql("select postrider.set_endpoint('shop', 'https://x.example', dialect => 'vzaps', events => '{Presence}')")
        .await;
    let sidecar = sidecar(&app).await;
    let query = own_query(&app).await;
    let mut client = connected(&sidecar, &query).await;
    emit(&app, 1).await;
    app.emit("presence.update", r#"{"n":2}"#).await;
    let event = client.message().await;
    assert_eq!(
        (&event["type"], &event["data"]["event"]["n"]),
        (&json!("Presence"), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tokens_that_are_good_for_the_instance_together_open_it() {
    let app = TestApp::start().await;
    credentials(&app).await;
    app.instance("stall").await;
    app.sql("insert into postrider.accounts (name) values ('another')")
        .await;
    app.sql(
        "insert into postrider.tokens (account_id, kind, client_id, digest)
         select id, 'client', 'vz_other', sha256('x') from postrider.accounts where name = 'another'",
    )
    .await;
    let sidecar = sidecar(&app).await;
    let (id, token) = ids(&app, INSTANCE).await;
    let (_, another) = ids(&app, "stall").await;
    let good = format!("instance_id={id}&access_token={ACCOUNT}&client_token={CLIENT}");
    connected(&sidecar, &format!("{good}&instance_token={token}")).await;
    connected(
        &sidecar,
        &format!("instance_id={id}&access_token={ACCOUNT}"),
    )
    .await;
    let refused = async |query: &str, expected: u16, message: &str| {
        let (_, status, body) = connect(&sidecar, query).await;
        assert_eq!(status, expected, "{query}");
        assert_eq!(
            body,
            json!({"code": expected, "success": false, "error": message}),
            "{query}"
        );
    };
    let invalid = "Invalid token";
    for query in [
        format!("instance_id={id}"),
        format!("instance_id={id}&access_token=wrong&client_token={CLIENT}&instance_token={token}"),
        format!("{good}&instance_token={another}"),
        format!("{good}&instance_token=wrong"),
        format!("instance_id={id}&client_token={CLIENT}"),
        format!("instance_id={id}&instance_token={token}"),
        format!("instance_id={id}&access_token={ACCOUNT}&client_token=vz_other"),
        format!("instance_id={id}&client_token=vz_other&instance_token={token}"),
    ] {
        refused(&query, 401, invalid).await;
    }
    let elsewhere = format!("instance_id={id}&client_token={CLIENT}&instance_token={another}");
    refused(&elsewhere, 404, "Instance not found").await;
    refused(
        &format!("instance_id=VZNOBODY&access_token={ACCOUNT}"),
        404,
        "Instance not found",
    )
    .await;
    refused(
        &format!("access_token={ACCOUNT}"),
        400,
        "instance_id is missing",
    )
    .await;
}
