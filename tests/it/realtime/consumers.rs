//! Durable consumers: what was not acknowledged comes again, to one connection at a time.

use std::time::Duration;

use serde_json::{Value, json};

use super::raw::{Client, Request};
use super::sidecar::{Sidecar, sidecar};
use super::{STREAM, emit};
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

/// Connects as the consumer of these tests.
async fn consumer(sidecar: &Sidecar) -> Client {
    let path = format!("{STREAM}?consumer=billing");
    let mut client = Request::to(path).socket(sidecar).await;
    let position = client.message().await;
    assert_eq!(position["recovered"], true, "{position}");
    client
}

/// Says that everything up to this event has been dealt with.
async fn acknowledge(client: &mut Client, event: &Value) {
    let ack = json!({"command": "ack", "cursor": event["cursor"]});
    client.say(&ack).await;
}

/// Where the table says that the consumer is.
async fn position(app: &TestApp) -> Value {
    let sql = "select cursor from postrider.consumers where name = 'billing'";
    app.value::<String>(sql).await.into()
}

/// Waits until the table says so of this event.
async fn acknowledged(app: &TestApp, event: &Value) {
    until("it is acknowledged", PATIENCE, async || {
        position(app).await == event["cursor"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut client = consumer(&sidecar).await;
    emit(&app, 1).await;
    emit(&app, 2).await;
    assert_eq!(client.numbers(2).await, [1, 2]);
    // Nothing was ever acknowledged: all of it comes again.
    drop(client);
    let mut client = consumer(&sidecar).await;
    let first = client.event().await;
    assert_eq!(first["data"]["n"], 1);
    acknowledge(&mut client, &first).await;
    acknowledged(&app, &first).await;
    drop(client);
    emit(&app, 3).await;
    let mut client = consumer(&sidecar).await;
    assert_eq!(client.numbers(2).await, [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_just_before_leaving_counts() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut client = consumer(&sidecar).await;
    emit(&app, 1).await;
    let first = client.event().await;
    acknowledge(&mut client, &first).await;
    client.leave().await;
    emit(&app, 2).await;
    let mut client = consumer(&sidecar).await;
    assert_eq!(client.numbers(1).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_on_its_way_to_the_database_counts_too() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let path = format!("{STREAM}?consumer=another");
    let mut another = Request::to(path).socket(&sidecar).await;
    another.settled_after_position().await;
    let mut client = consumer(&sidecar).await;
    emit(&app, 1).await;
    let first = client.event().await;
    let mut operator = app.pool().begin().await.unwrap();
    sqlx::query("select from postrider.consumers where name = 'another' for update")
        .execute(&mut *operator)
        .await
        .unwrap();
    // Both are written together, and wait for the operator.
    acknowledge(&mut client, &first).await;
    acknowledge(&mut another, &first).await;
    let waits = "select count(*) from pg_stat_activity where query like '-- consumers.save%' and wait_event_type = 'Lock'
        and datname = current_database()";
    until("it waits", PATIENCE, async || {
        app.value::<i64>(waits).await > 0
    })
    .await;
    client.leave().await;
    emit(&app, 2).await;
    let returning = async {
        let mut client = consumer(&sidecar).await;
        assert_eq!(client.numbers(1).await, [2]);
    };
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        operator.rollback().await.unwrap();
    };
    tokio::join!(returning, release);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_outlives_the_process_that_wrote_it() {
    let app = TestApp::start().await;
    let first_process = sidecar(&app).await;
    let mut client = consumer(&first_process).await;
    for number in 1..=3 {
        emit(&app, number).await;
    }
    let first = client.event().await;
    acknowledge(&mut client, &first).await;
    acknowledged(&app, &first).await;
    drop(first_process);
    client.gone().await;
    emit(&app, 4).await;
    let second_process = sidecar(&app).await;
    let mut client = consumer(&second_process).await;
    assert_eq!(client.numbers(3).await, [2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_takes_the_consumer_over() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut earlier = consumer(&sidecar).await;
    emit(&app, 1).await;
    assert_eq!(earlier.numbers(1).await, [1]);
    let mut later = consumer(&sidecar).await;
    assert_eq!(earlier.closed().await.0, 4409);
    assert_eq!(later.numbers(1).await, [1]);
    // Others are not touched.
    let path = format!("{STREAM}?consumer=shipping");
    let mut other = Request::to(path).socket(&sidecar).await;
    other.settled_after_position().await;
    later.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_in_another_process_takes_it_over_and_the_earlier_ones_word_counts_no_more() {
    let app = TestApp::start().await;
    let (here, there) = (sidecar(&app).await, sidecar(&app).await);
    let mut earlier = consumer(&here).await;
    emit(&app, 1).await;
    let first = earlier.event().await;
    let _later = consumer(&there).await;
    let before = position(&app).await;
    acknowledge(&mut earlier, &first).await;
    assert_eq!(earlier.closed().await.0, 4409);
    assert_eq!(position(&app).await, before);
    // One that says nothing finds out as well.
    let mut silent = consumer(&here).await;
    let _latest = consumer(&there).await;
    assert_eq!(silent.closed().await.0, 4409);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_cannot_be_meant_is_answered() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut nobody = Request::to(STREAM).socket(&sidecar).await;
    nobody.message().await;
    nobody.say(&json!({"command": "ack", "cursor": "x"})).await;
    let answer = nobody.message().await;
    assert_eq!(answer["control"], "error");
    assert!(answer["message"].as_str().unwrap().contains("?consumer="));
    let mut client = consumer(&sidecar).await;
    client.say(&json!({"command": "ack", "cursor": "x"})).await;
    let answer = client.message().await;
    assert!(answer["message"].as_str().unwrap().contains("no cursor"));
    client.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_has_a_name_and_a_way_to_acknowledge() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    for name in ["a%20b", "%C3%A9", &"x".repeat(101)] {
        let path = format!("{STREAM}?consumer={name}");
        let (_, head) = Request::to(path).upgrade(sidecar.address).await;
        assert_eq!(head.status, 400, "{name}");
    }
    let path = format!("{STREAM}?consumer=billing");
    let (_, head) = Request::to(path).get(sidecar.address).await;
    assert_eq!(head.status, 400);
}
