//! The SDK from the Python package index, unchanged: its REST part works against us.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{CLIENT, SECRET, start};
use crate::support::python::Python;
use crate::support::receiver::{Answer, Receiver};
use crate::support::wait::{PATIENCE, until};

/// What its users install.
const PACKAGES: [&str; 2] = ["vzaps==0.1.1", "websockets==15.0.1"];

#[tokio::test]
async fn the_python_sdk_makes_instances_sets_webhooks_and_works_their_logs() {
    let Some(python) = Python::with_or_skipped(&PACKAGES).await else {
        return;
    };
    let (app, api) = start().await;
    let receiver = Receiver::start().await;
    receiver.answer(Answer::status(500));
    let (base, hook) = (format!("http://{}", api.address), receiver.url());
    let mut program = python.start(include_str!("sdk.py"), &[&base, CLIENT, SECRET, &hook]);
    let mut input = program.stdin.take().unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap()).lines();
    let line =
        async |output: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>| -> Value {
            let line = tokio::time::timeout(PATIENCE, output.next_line())
                .await
                .unwrap()
                .unwrap();
            serde_json::from_str(&line.expect("the program ended early; its error is above"))
                .unwrap()
        };

    // By now it has made an instance and moved its webhook; give it a delivery that failed.
    assert_eq!(line(&mut output).await, json!({"emit": true}));
    app.sql("update postrider.endpoints set schedule = 'fast', max_attempts = 1")
        .await;
    let worker = app.worker().start().await;
    app.sql("select postrider.emit('Support', 'message.exchange', '{\"text\":\"Oi\"}')")
        .await;
    app.counted("failed", 1).await;
    receiver.answer(Answer::ok());
    input.write_all(b"\n").await.unwrap();

    let said = line(&mut output).await;
    assert!(program.wait().await.unwrap().success());
    check_instances(&said, &hook);
    check_webhooks(&said, &hook);
    check_logs(&said);
    let moved = receiver.requests().pop().unwrap();
    assert_eq!(moved.path, "/moved");
    until("the retried delivery has arrived", PATIENCE, async || {
        app.count("delivered").await == 1
    })
    .await;
    app.finish([worker]).await;
}

fn check_instances(said: &Value, hook: &str) {
    assert_eq!(said["token"].as_str().unwrap().len(), 64);
    let created = &said["created"];
    assert_eq!(
        (&created["name"], &created["webhook"]),
        (&json!("Support"), &json!(hook))
    );
    assert_eq!(
        created["events_subscribe"],
        "Message,Connected,Disconnected"
    );
    let listed = &said["listed"];
    assert_eq!(
        (&listed["total"], &listed["content"][0]["id"]),
        (&json!(1), &created["id"])
    );
    assert_eq!(said["listed_all"]["total"], 2);
    assert_eq!(said["got"]["token"], created["token"]);
    assert_eq!(said["unknown"][0], 404);
    assert_eq!(said["stranger"][0], 401);
    assert!(
        said["stranger"][1]
            .as_str()
            .unwrap()
            .contains("client_secret")
    );
}

fn check_webhooks(said: &Value, hook: &str) {
    let moved = format!("{hook}moved");
    let check = |call: &str, expected: Value| assert_eq!(said[call]["data"], expected, "{call}");
    check(
        "webhook",
        json!({"webhook": hook, "subscribe": ["Message", "Connected", "Disconnected"]}),
    );
    check(
        "set",
        json!({"webhook": hook, "events": "Message,ReadReceipt"}),
    );
    check(
        "set_as_text",
        json!({"webhook": hook, "events": "Message,Presence"}),
    );
    check(
        "moved",
        json!({"webhook": moved, "events": "Message,Presence"}),
    );
    check(
        "webhook_after",
        json!({"webhook": moved, "subscribe": ["Message", "Presence"]}),
    );
    check(
        "async_webhook",
        json!({"webhook": moved, "subscribe": ["Message", "Presence"]}),
    );
    assert_eq!(said["bad_event"][0], 400);
    assert!(
        said["bad_event"][1]
            .as_str()
            .unwrap()
            .contains("use ReadReceipt")
    );
}

fn check_logs(said: &Value) {
    let failed = &said["logs"]["data"];
    assert_eq!(
        (&failed["total"], &failed["content"][0]["status_code"]),
        (&json!(1), &json!(500))
    );
    assert_eq!(said["logs_all"]["data"]["total"], 1);
    let log = &said["log"]["data"];
    assert_eq!(
        log["payload"],
        json!({"type": "Message", "event": {"text": "Oi"}})
    );
    assert_eq!(log["history"][0]["outcome"], "failed");
    assert_eq!(said["retried"]["data"]["status"], "pending");
    assert_eq!(said["async_logs"]["data"]["total"], 0);
}
