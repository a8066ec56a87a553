//! The clients that people use, each with the events it was given: those that are programs of their own are started again when
//! they end, as a person or a supervisor would.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postrider::client::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::STREAM;
use crate::support::api::ACCOUNT;
use crate::support::curl::Curl;
use crate::support::node::Node;
use crate::support::python::Python;

/// What users of `EventSource` and of Socket.IO install.
pub(super) const EVENTSOURCE: &str = "eventsource@3.0.7";
pub(super) const SOCKET_IO: &str = "socket.io-client@4.8.4";
/// What users of `VZaps` install.
pub(super) const VZAPS: [&str; 2] = ["vzaps==0.1.1", "websockets==15.0.1"];

/// A page's script: it opens a stream and never looks back.
const PAGE: &str = r#"
const { EventSource } = require("eventsource");
const source = new EventSource(process.argv[1]);
source.addEventListener("position", () => console.log(JSON.stringify({ position: true })));
source.onmessage = (event) => console.log(JSON.stringify({ n: JSON.parse(event.data).data.n }));
source.onerror = () => source.readyState === EventSource.CLOSED && console.log(JSON.stringify({ over: true }));
"#;

/// What a client has been told: the numbers of events, and everything it said.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<(Vec<i64>, Vec<Value>)>>);

/// A client, for as long as it is kept.
pub(super) struct Listener {
    pub(super) name: &'static str,
    /// Its protocol may give it an event more than once.
    pub(super) repeats: bool,
    heard: Heard,
    _task: JoinSet<()>,
}

impl Heard {
    /// Something was said; an event has a number.
    fn note(&self, number: Option<i64>, said: Value) {
        let mut heard = self.0.lock().unwrap();
        heard.0.extend(number);
        heard.1.push(said);
    }
}

impl Listener {
    fn new(name: &'static str, heard: Heard, task: JoinSet<()>) -> Self {
        Self {
            name,
            repeats: false,
            heard,
            _task: task,
        }
    }

    /// One that prints a JSON object a line, of which `number` reads the event's number.
    fn program(name: &'static str, mut program: Child, number: fn(&Value) -> Option<i64>) -> Self {
        let heard = Heard::default();
        let mut task = JoinSet::new();
        let noting = heard.clone();
        task.spawn(async move {
            let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let said: Value = serde_json::from_str(&line).unwrap();
                noting.note(number(&said), said);
            }
            drop(program);
        });
        Self::new(name, heard, task)
    }

    /// What it said, for whoever looks why a test failed.
    pub(super) fn said(&self) -> Vec<Value> {
        self.heard.0.lock().unwrap().1.clone()
    }

    /// `EventSource`, with the token in the URL as in a browser.
    pub(super) fn event_source(node: &Node, port: u16) -> Self {
        let url = format!("http://127.0.0.1:{port}{STREAM}?token={ACCOUNT}");
        Self::program("EventSource", node.start(PAGE, &[&url]), |said| {
            said["n"].as_i64()
        })
    }

    /// `socket.io-client`, in the namespace of the instance.
    pub(super) fn socket_io(node: &Node, port: u16, transport: &'static str) -> Self {
        let url = format!("http://127.0.0.1:{port}/shop");
        let query = json!({"apikey": ACCOUNT, "resume": 1});
        let options = json!({"query": query, "transports": [transport]}).to_string();
        let program = include_str!("../realtime/evolution/client.cjs");
        Self::program(transport, node.start(program, &[&url, &options]), |said| {
            said["values"][0]["data"]["n"].as_i64()
        })
    }

    /// The SDK of `VZaps`; `credentials` are the client's and the instance's.
    pub(super) fn vzaps(python: &Python, port: u16, credentials: [&str; 4]) -> Self {
        let [client, secret, id, token] = credentials;
        let base = format!("http://127.0.0.1:{port}");
        let realtime = format!("ws://127.0.0.1:{port}");
        let arguments = [&base, &realtime, client, secret, id, token, "", "[]"];
        let program = include_str!("../realtime/vzaps/sdk.py");
        let mut listener = Self::program("VZaps", python.start(program, &arguments), |said| {
            said["heard"].as_i64()
        });
        listener.repeats = true;
        listener
    }

    /// `curl -N`, again and again, with the id it saw last.
    pub(super) fn curl(curl: &Curl, port: u16) -> Self {
        let curl = curl.clone();
        let heard = Heard::default();
        let noting = heard.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut last = None;
            loop {
                last = run_curl(&curl, port, last, &noting).await;
                sleep(Duration::from_millis(50)).await;
            }
        });
        Self::new("curl", heard, task)
    }

    /// Our own client.
    pub(super) fn ours(port: u16) -> Self {
        let heard = Heard::default();
        let noting = heard.clone();
        let client = Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
        let subscription = client
            .subscribe("shop", ACCOUNT)
            .retry_delay(Duration::from_millis(50))
            .on_any(move |event| {
                let data: Value = event.data().unwrap();
                noting.note(data["n"].as_i64(), data);
                async { Ok(()) }
            })
            .start();
        let mut task = JoinSet::new();
        task.spawn(async move {
            std::future::pending::<()>().await;
            drop(subscription);
        });
        Self::new("our client", heard, task)
    }

    /// The numbers of the events it has been given.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.heard.0.lock().unwrap().0.clone()
    }
}

/// One run of `curl`; answers with the id it saw last.
async fn run_curl(curl: &Curl, port: u16, last: Option<String>, heard: &Heard) -> Option<String> {
    let mut program = curl
        .command()
        .args([
            "-sN",
            "--noproxy",
            "*",
            "-H",
            &format!("Authorization: Bearer {ACCOUNT}"),
        ])
        .args(
            last.iter()
                .flat_map(|last| ["-H".to_owned(), format!("Last-Event-ID: {last}")]),
        )
        .arg(format!("http://127.0.0.1:{port}{STREAM}"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let (mut seen, mut id, mut data) = (last, None, None);
    while let Ok(Some(line)) = lines.next_line().await {
        match line.split_once(": ") {
            Some(("id", cursor)) => id = Some(cursor.to_owned()),
            Some(("data", text)) => data = Some(serde_json::from_str::<Value>(text).unwrap()),
            // It counts once it is whole.
            None if line.is_empty() => {
                seen = id.take().or(seen);
                if let Some(data) = data.take() {
                    heard.note(data["data"]["n"].as_i64(), data);
                }
            }
            _ => {}
        }
    }
    seen
}
