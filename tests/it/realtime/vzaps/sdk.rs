//! The SDK, as its users run it.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use super::{CLIENT, SECRET, Server, credentials, emit, ids};
use crate::support::app::{INSTANCE, TestApp};
use crate::support::python::Python;
use crate::support::wait::{PATIENCE, until};

/// What its users install.
const PACKAGES: [&str; 2] = ["vzaps==0.1.1", "websockets==15.0.1"];

/// A program that subscribes.
struct Subscriber {
    program: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    /// Starts it, and waits until it is connected. The handler fails at these numbers, once each.
    async fn start(
        app: &TestApp,
        server: &Server,
        python: &Python,
        (events, failing): (&str, &str),
    ) -> Self {
        let (id, token) = ids(app, INSTANCE).await;
        let base = format!("http://127.0.0.1:{}", server.port);
        let realtime = format!("ws://127.0.0.1:{}", server.port);
        let arguments = [
            &base, &realtime, CLIENT, SECRET, &id, &token, events, failing,
        ];
        let mut program = python.start(include_str!("sdk.py"), &arguments);
        let output = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut subscriber = Self { program, output };
        assert_eq!(subscriber.says().await, json!({"open": true}));
        subscriber
    }

    /// The next thing it says.
    async fn says(&mut self) -> Value {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("it says nothing").unwrap();
        serde_json::from_str(&line.expect("it ended early; its error is above")).unwrap()
    }

    /// The numbers of the next events, which come in this order, whatever else it says.
    async fn hears(&mut self, numbers: &[i64]) {
        for number in numbers {
            let event = loop {
                let said = self.says().await;
                if said.get("heard").is_some() {
                    break said;
                }
            };
            assert_eq!(event["heard"], *number, "{event}");
        }
    }

    /// Closes it in order: it hears nothing more until then.
    async fn close(mut self) {
        let mut input = self.program.stdin.take().unwrap();
        input.write_all(b"\n").await.unwrap();
        assert_eq!(self.says().await, json!({"closed": true}));
        assert_eq!(self.says().await, json!({"ended": true}));
        assert!(self.program.wait().await.unwrap().success());
    }
}

/// Waits until all that was sent has been acknowledged, except this event.
async fn acknowledged_but(app: &TestApp, event: &str) {
    let id = event.split('_').nth(1).unwrap();
    until("what was handled is acknowledged", PATIENCE, async || {
        let open: String = app
            .value("select min(unacknowledged::text) from postrider.subscriptions")
            .await;
        open == format!("{{{id}}}")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_survives_a_killed_server_and_is_sent_again_only_what_its_handler_failed_at() {
    let Some(python) = Python::with_or_skipped(&PACKAGES).await else {
        return;
    };
    let app = TestApp::start().await;
    credentials(&app).await;
    let mut server = Server::start(&app).await;
    let mut subscriber = Subscriber::start(&app, &server, &python, ("Message", "[2]")).await;
    app.emit("Presence", r#"{"n":0}"#).await;
    emit(&app, 1).await;
    let failed = emit(&app, 2).await;
    let last = emit(&app, 3).await;
    subscriber.hears(&[1, 2]).await;
    assert_eq!(
        subscriber.says().await,
        json!({"error": "the handler fails"})
    );
    let third = subscriber.says().await;
    let instance = ids(&app, INSTANCE).await.0;
    assert_eq!(
        (&third["heard"], &third["id"], &third["instance"]),
        (&json!(3), &json!(last), &json!(instance))
    );
    acknowledged_but(&app, &failed).await;

    server.kill();
    emit(&app, 4).await;
    server.start_again(&app).await;
    emit(&app, 5).await;
    // The one that failed, and all that came since; what was handled does not come again.
    subscriber.hears(&[2, 4, 5]).await;
    emit(&app, 6).await;
    subscriber.hears(&[6]).await;
    until("all is acknowledged", PATIENCE, async || {
        app.value::<bool>("select bool_and(unacknowledged = '{}') from postrider.subscriptions")
            .await
    })
    .await;

    server.stop().await;
    emit(&app, 7).await;
    server.start_again(&app).await;
    subscriber.hears(&[7]).await;
    subscriber.close().await;
    until("its place is free", PATIENCE, async || {
        app.value::<bool>("select bool_and(holder is null) from postrider.subscriptions")
            .await
    })
    .await;
    // The next program with this subscription goes on where this one was.
    emit(&app, 8).await;
    let mut another = Subscriber::start(&app, &server, &python, ("Message", "[]")).await;
    emit(&app, 9).await;
    another.hears(&[8, 9]).await;
    another.close().await;
    let places: i64 = app
        .value("select count(*) from postrider.subscriptions")
        .await;
    assert_eq!(places, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_programs_with_one_subscription_each_hear_everything_also_over_a_kill() {
    let Some(python) = Python::with_or_skipped(&PACKAGES).await else {
        return;
    };
    let app = TestApp::start().await;
    credentials(&app).await;
    let mut server = Server::start(&app).await;
    let mut one = Subscriber::start(&app, &server, &python, ("", "[]")).await;
    let mut other = Subscriber::start(&app, &server, &python, ("", "[2]")).await;
    for number in 1..=3 {
        emit(&app, number).await;
    }
    one.hears(&[1, 2, 3]).await;
    other.hears(&[1, 2, 3]).await;
    server.kill();
    emit(&app, 4).await;
    server.start_again(&app).await;
    emit(&app, 5).await;
    for subscriber in [&mut one, &mut other] {
        let mut heard = Vec::new();
        while !heard.contains(&json!(5)) {
            let said = subscriber.says().await;
            heard.extend(said.get("heard").cloned());
        }
        assert!(heard.contains(&json!(4)), "{heard:?}");
    }
    one.close().await;
    other.program.kill().await.unwrap();
}
