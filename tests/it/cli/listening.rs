//! `postrider listen`, as users and scripts run it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::receiver::{Answer, Received, Receiver};
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::Process;

/// The sidecar as a process of its own.
async fn sidecar(app: &TestApp, listen: &str) -> Process {
    let builder = app.worker().set("http.listen", format!("'{listen}'"));
    let builder = builder.set("api.account_token", format!("'{ACCOUNT}'"));
    let mut process = builder.spawn_as("realtime");
    process.ready().await;
    process
}

/// A running `listen`; killed when the test ends.
struct Listening {
    child: Child,
    directory: TempDir,
}

impl Listening {
    /// Starts one that is told where and by which token through its environment.
    fn start(server: &Process, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = |name: &str| File::create(directory.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_postrider"))
            .args(["listen", "--instance", "shop"])
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env(
                "POSTRIDER_URL",
                format!("http://{}", server.address().unwrap()),
            )
            .env("POSTRIDER_TOKEN", ACCOUNT)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(output("out"))
            .stderr(output("errors"))
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The lines it has printed.
    fn lines(&self) -> Vec<String> {
        let file = File::open(self.path("out")).unwrap();
        BufReader::new(file).lines().map(Result::unwrap).collect()
    }

    /// What it has said beside.
    fn errors(&self) -> String {
        std::fs::read_to_string(self.path("errors")).unwrap()
    }

    /// Waits for so many lines.
    async fn wait_for(&self, count: usize) -> Vec<String> {
        let what = format!("{count} lines were printed");
        until(&what, PATIENCE, async || self.lines().len() >= count).await;
        self.lines()
    }

    /// Tells it to end; it does, cleanly.
    async fn stop(mut self) {
        kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        )
        .unwrap();
        until("it has ended", PATIENCE, async || {
            self.child.try_wait().unwrap().is_some()
        })
        .await;
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.errors());
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Ended already, or of no more use.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("--- listen\n{:?}\n{}", self.lines(), self.errors());
        }
    }
}

/// Waits until a consumer is known to the server, so that nothing is emitted before.
async fn connected(app: &TestApp) {
    let known = "select exists (select from postrider.consumers where cursor is not null)";
    until("it is connected", PATIENCE, async || app.value(known).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_printed_a_line_each_for_people_and_for_scripts() {
    let app = TestApp::start().await;
    let server = sidecar(&app, "127.0.0.1:0").await;
    let id = app.emit("order.paid", "{\n  \"n\": 1\n}").await;
    app.emit("order.sent", "{\"text\":\"\\u001b[2J\"}").await;
    let people = Listening::start(&server, &["--since", "1h"]);
    let lines = people.wait_for(2).await;
    assert!(
        lines[0].ends_with(&format!("Z  order.paid  {id}  {{   \"n\": 1 }}")),
        "{lines:?}"
    );
    assert!(lines[1].ends_with(r#"{"text":"\u001b[2J"}"#), "{lines:?}");
    people.stop().await;
    let script = Listening::start(
        &server,
        &["--since", "1h", "--json", "--events", "order.paid,x"],
    );
    let lines = script.wait_for(1).await;
    let event: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(event["id"], *id);
    assert_eq!(event["data"]["n"], 1);
    app.emit("order.paid", "{\"n\":2}").await;
    let lines = script.wait_for(2).await;
    assert_eq!(lines.len(), 2);
    script.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_forwarded_signed_and_acknowledged_only_when_they_were_taken() {
    let app = TestApp::start().await;
    let server = sidecar(&app, "127.0.0.1:0").await;
    let receiver = Receiver::start().await;
    let url = format!("http://localhost:{}/hook", receiver.address().port());
    let arguments = ["--consumer", "laptop", "--forward-to", &url];
    let listening = Listening::start(&server, &arguments);
    connected(&app).await;
    // One is refused twice; the others are taken meanwhile.
    let mut refusals = 2;
    receiver.answer_with(move |request: &Received| {
        if request.json()["data"]["n"] == 2 && refusals > 0 {
            refusals -= 1;
            return Answer::status(503);
        }
        Answer::ok()
    });
    let mut events = Vec::new();
    for number in 1..=4 {
        events.push(app.emit("order.paid", &format!("{{\"n\":{number}}}")).await);
    }
    let requests = receiver.wait_for(6).await;
    let errors = listening.errors();
    let secret = errors
        .lines()
        .find_map(|line| line.strip_prefix("signing with "))
        .unwrap();
    for request in &requests {
        assert!(request.is_signed_by(secret), "{request:?}");
        assert_eq!(
            (request.path.as_str(), request.header("content-type")),
            ("/hook", "application/json")
        );
    }
    let second: Vec<&Received> = requests
        .iter()
        .filter(|request| request.header("webhook-id") == events[1])
        .collect();
    let attempts: Vec<&str> = second
        .iter()
        .map(|request| request.header("x-postrider-attempt"))
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    assert_eq!(requests[0].json()["type"], "order.paid");
    assert_eq!(requests[0].json()["instance"], "shop");
    assert!(requests[0].json().get("cursor").is_none());
    listening.wait_for(6).await;
    listening.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_until_it_ended_comes_to_the_next_one_also_over_a_killed_server() {
    let app = TestApp::start().await;
    let server = sidecar(&app, "127.0.0.1:0").await;
    let address = server.address().unwrap();
    let receiver = Receiver::start().await;
    let url = receiver.url();
    let arguments = ["--consumer", "laptop", "--forward-to", &url];
    let listening = Listening::start(&server, &arguments);
    connected(&app).await;
    let mut events = Vec::new();
    receiver.answer_with(|request: &Received| {
        Answer::status(if request.json()["data"]["n"] == 5 {
            500
        } else {
            200
        })
    });
    for number in 5..=6 {
        events.push(app.emit("order.paid", &format!("{{\"n\":{number}}}")).await);
    }
    let taken = |number: u64| {
        let requests = receiver.requests();
        requests
            .iter()
            .any(|request| request.json()["data"]["n"] == number)
    };
    until("the sixth was taken", PATIENCE, async || taken(6)).await;
    listening.stop().await;
    server.kill();
    events.push(app.emit("order.paid", "{\"n\":7}").await);
    let server = sidecar(&app, &address.to_string()).await;
    receiver.answer(Answer::ok());
    let listening = Listening::start(&server, &arguments);
    until("the seventh was taken", PATIENCE, async || taken(7)).await;
    let lines = listening.wait_for(2).await;
    assert!(
        lines
            .iter()
            .any(|line| line.contains(&events[0]) && line.ends_with("200")),
        "{lines:?}"
    );
    listening.stop().await;
    let seen: BTreeSet<String> = receiver
        .requests()
        .iter()
        .map(|request| request.header("webhook-id").to_owned())
        .collect();
    assert_eq!(seen, events.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_for_a_while_gets_everything_and_a_redirect_is_not_followed() {
    let app = TestApp::start().await;
    let server = sidecar(&app, "127.0.0.1:0").await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    // Nothing answers, as while a developer restarts what he works on.
    receiver.answer(Answer::close());
    let url = receiver.url();
    let arguments = ["--since", "1h", "--json", "--forward-to", &url];
    let listening = Listening::start(&server, &arguments);
    let id = app.emit("order.paid", "{\"n\":1}").await;
    let lines = listening.wait_for(1).await;
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (&line["id"], &line["delivered"]),
        (&id.as_str().into(), &false.into())
    );
    receiver.answer_in_turn([
        Answer::status(302).header("location", &elsewhere.url()),
        Answer::status(204),
    ]);
    let taken = async || {
        listening
            .lines()
            .iter()
            .any(|line| line.contains("\"delivered\":true"))
    };
    until("it was taken", PATIENCE, taken).await;
    assert!(
        listening
            .lines()
            .iter()
            .any(|line| line.contains("redirects are not followed"))
    );
    assert_eq!(elsewhere.count(), 0);
    listening.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said_at_once() {
    let app = TestApp::start().await;
    let server = sidecar(&app, "127.0.0.1:0").await;
    for (arguments, expected) in [
        (&["--token", "not-a-token"][..], "401"),
        (&["--url", "ftp://a.example"], "begins with ftp:"),
        (&["--forward-to", "http://169.254.169.254/"], "link-local"),
        (&["--forward-to", "localhost:3000"], "not localhost"),
        (&["--signing-secret-env", "HOME"], "--forward-to"),
    ] {
        let mut listening = Listening::start(&server, arguments);
        until("it has ended", PATIENCE, async || {
            listening.child.try_wait().unwrap().is_some()
        })
        .await;
        assert!(!listening.child.wait().unwrap().success());
        let errors = listening.errors();
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
}
