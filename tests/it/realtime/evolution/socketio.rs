//! `socket.io-client` from npm, over both of its transports.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use super::super::sidecar::{Sidecar, sidecar};
use super::{configure, emit, global, key, outline, outlined};
use crate::support::api::ACCOUNT;
use crate::support::app::{INSTANCE, TestApp};
use crate::support::node::Node;
use crate::support::wait::PATIENCE;

/// What its users install.
pub(super) const PACKAGE: &str = "socket.io-client@4.8.4";

/// A client.
pub(super) struct Client {
    pub(super) program: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts one; it may be refused.
    pub(super) fn start(node: &Node, sidecar: &Sidecar, namespace: &str, options: &Value) -> Self {
        Self::at(node, (sidecar.address, namespace), options)
    }

    /// The same at an address.
    pub(super) fn at(
        node: &Node,
        (address, namespace): (SocketAddr, &str),
        options: &Value,
    ) -> Self {
        let url = format!("http://{address}{namespace}");
        let arguments = [url.as_str(), &options.to_string()];
        let mut program = node.start(include_str!("client.cjs"), &arguments);
        let output = BufReader::new(program.stdout.take().unwrap()).lines();
        Self { program, output }
    }

    /// One that is connected to the namespace of an instance.
    pub(super) async fn connected(
        node: &Node,
        sidecar: &Sidecar,
        namespace: &str,
        options: &Value,
    ) -> Self {
        let mut client = Self::start(node, sidecar, namespace, options);
        let said = client.says().await;
        assert!(said["connected"].is_string(), "{said}");
        client
    }

    /// The next thing it says.
    pub(super) async fn says(&mut self) -> Value {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("it says nothing").unwrap();
        serde_json::from_str(&line.expect("it ended early; its error is above")).unwrap()
    }

    /// The next event's outline; it is called as its envelope says, and has no other argument.
    pub(super) async fn hears(&mut self) -> (String, String, i64) {
        let said = self.says().await;
        assert_eq!(said["name"], said["values"][0]["event"], "{said}");
        assert_eq!(said["values"].as_array().map(Vec::len), Some(1), "{said}");
        outline(&said["values"][0])
    }

    /// Emits something, and waits for the answer.
    pub(super) async fn asks(&mut self, what: &Value) -> Value {
        let line = format!("{what}\n");
        let input = self.program.stdin.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
        self.says().await["answer"].take()
    }
}

/// The key in the query, and one transport or both.
fn options(key: &str, transports: &[&str]) -> Value {
    json!({"query": {"apikey": key}, "transports": transports})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_its_instance_over_every_transport_before_anything_has_happened() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "MESSAGES_UPSERT").await;
    let sidecar = sidecar(&app).await;
    let key = key(&app, INSTANCE).await;
    let forms = [
        options(&key, &["polling"]),
        options(&key, &["websocket"]),
        options(&key, &["polling", "websocket"]),
        json!({"extraHeaders": {"apikey": key}, "transports": ["polling"]}),
    ];
    let mut clients = Vec::new();
    for form in &forms {
        clients.push(Client::connected(&node, &sidecar, "/shop", form).await);
    }
    emit(&app, INSTANCE, "message.exchange", 1).await;
    emit(&app, INSTANCE, "presence.update", 2).await;
    emit(&app, INSTANCE, "messages.upsert", 3).await;
    for client in &mut clients {
        for number in [1, 3] {
            assert_eq!(
                client.hears().await,
                outlined("messages.upsert", "shop", number)
            );
        }
    }
    // Byte for byte the envelope of the contract.
    app.sql("select postrider.emit('shop', 'messages.upsert', '{\"n\":1.0,\"é\":[1e2]}', sender => '55@s.whatsapp.net')")
        .await;
    let said = clients[1].says().await;
    let envelope = &said["values"][0];
    let fields: Vec<&str> = envelope
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "event",
        "instance",
        "data",
        "date_time",
        "sender",
        "server_url",
        "apikey",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(envelope["apikey"], key);
    assert_eq!(envelope["sender"], "55@s.whatsapp.net");
    assert_eq!(envelope["data"]["é"], json!([100]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_configuration_reaches_open_sockets() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let form = options(&key(&app, INSTANCE).await, &["websocket"]);
    let mut client = Client::connected(&node, &sidecar, "/shop", &form).await;
    emit(&app, INSTANCE, "call", 1).await;
    configure(&app, INSTANCE, "CALL").await;
    let mut number = 1;
    // It was off; some time after it is on, an event comes.
    let heard = loop {
        number += 1;
        emit(&app, INSTANCE, "call", number).await;
        let wait = std::time::Duration::from_millis(100);
        if let Ok(line) = timeout(wait, client.output.next_line()).await {
            break serde_json::from_str::<Value>(&line.unwrap().unwrap()).unwrap();
        }
    };
    assert_eq!(heard["name"], "call");
    assert!(outline(&heard["values"][0]).2 > 1, "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_its_own_instance_and_no_other() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    app.instance("stall").await;
    let sidecar = sidecar(&app).await;
    let own = key(&app, INSTANCE).await;
    let refused = async |namespace: &str, form: &Value| {
        let mut client = Client::start(&node, &sidecar, namespace, form);
        let said = client.says().await;
        assert!(said["refused"].is_string(), "{namespace} {form}: {said}");
        said
    };
    for namespace in ["/stall", "/nobody"] {
        let said = refused(namespace, &options(&own, &["websocket"])).await;
        assert_eq!(said["refused"], "Invalid namespace");
    }
    let said = refused("/shop", &options("wrong", &["polling"])).await;
    assert_eq!(
        said["context"],
        r#"{"code":4,"message":"Invalid global token"}"#
    );
    let said = refused("/shop", &json!({"transports": ["polling"]})).await;
    assert_eq!(
        said["context"],
        r#"{"code":4,"message":"apiKey is required"}"#
    );
    // The key of the account opens all of its instances.
    for namespace in ["/shop", "/stall"] {
        Client::connected(
            &node,
            &sidecar,
            namespace,
            &options(ACCOUNT, &["websocket"]),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_global_mode_the_root_hears_all_that_the_key_reaches_also_what_is_made_later() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    app.instance("stall").await;
    app.sql("insert into postrider.accounts (name) values ('another')")
        .await;
    app.instance("another/hers").await;
    let sidecar = global(&app).await;
    let all = options(ACCOUNT, &["websocket"]);
    let mut all = Client::connected(&node, &sidecar, "/", &all).await;
    let own = options(&key(&app, "stall").await, &["polling"]);
    let mut own = Client::connected(&node, &sidecar, "/", &own).await;
    emit(&app, "another/hers", "call", 1).await;
    emit(&app, INSTANCE, "call", 2).await;
    assert_eq!(all.hears().await, outlined("call", "shop", 2));
    emit(&app, "stall", "order.paid", 3).await;
    assert_eq!(all.hears().await, outlined("order.paid", "stall", 3));
    assert_eq!(own.hears().await, outlined("order.paid", "stall", 3));
    app.instance("new").await;
    emit(&app, "new", "call", 4).await;
    assert_eq!(all.hears().await, outlined("call", "new", 4));
    emit(&app, "new", "call", 5).await;
    assert_eq!(all.hears().await, outlined("call", "new", 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_say_is_answered_where_they_ask_and_closes_nothing() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "").await;
    let sidecar = sidecar(&app).await;
    let form = options(&key(&app, INSTANCE).await, &["websocket"]);
    let mut client = Client::connected(&node, &sidecar, "/shop", &form).await;
    let subscribed = client
        .asks(&json!(["subscribe", {"instance": "shop"}]))
        .await;
    assert_eq!(subscribed, json!({"subscribed": true}));
    let sent = client
        .asks(&json!(["sendNode", {"instanceId": "x", "stanza": {}}]))
        .await;
    assert!(sent["error"].is_string(), "{sent}");
    let unknown = client.asks(&json!(["nonsense"])).await;
    assert!(unknown["error"].is_string(), "{unknown}");
    emit(&app, INSTANCE, "call", 1).await;
    assert_eq!(client.hears().await, outlined("call", "shop", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_process_ends_clients_are_let_go_so_that_they_come_back() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let form = options(&key(&app, INSTANCE).await, &["websocket"]);
    let mut client = Client::connected(&node, &sidecar, "/shop", &form).await;
    sidecar.tasks.soft().cancel();
    let said = client.says().await;
    // After "io server disconnect" they would not.
    assert_eq!(said, json!({"disconnected": "transport close"}));
    assert!(client.says().await["refused"].is_string());
}

/// What a client that polls is told next, up to what it waits for.
async fn polled(client: &reqwest::Client, session: &str, awaited: &str) -> String {
    let polling = async {
        loop {
            let told = client.get(session).send().await.unwrap();
            let told = told.text().await.unwrap();
            if told.contains(awaited) {
                return told;
            }
        }
    };
    let told = timeout(PATIENCE, polling).await;
    told.unwrap_or_else(|_| panic!("{awaited} is told"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_opens_nothing_more_on_a_connection_that_is_still_there() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    app.sql("insert into postrider.tokens (account_id, digest) select 1, sha256('soon-revoked')")
        .await;
    // The client speaks no TLS here, but is not built without.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let door = format!(
        "http://{}/socket.io/?EIO=4&transport=polling&apikey=soon-revoked",
        sidecar.address
    );
    let opened = client
        .get(&door)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let opened: Value = serde_json::from_str(&opened[1..]).unwrap();
    let session = format!("{door}&sid={}", opened["sid"].as_str().unwrap());
    let connect = async || {
        let asked = client.post(&session).body("40/shop,").send().await;
        assert_eq!(asked.unwrap().status(), 200);
    };
    connect().await;
    polled(&client, &session, "40/shop,").await;
    app.sql("update postrider.tokens set revoked_at = now() where digest = sha256('soon-revoked')")
        .await;
    polled(&client, &session, "41/shop,").await;
    connect().await;
    let told = polled(&client, &session, "/shop,").await;
    assert!(told.starts_with("44/shop,"), "{told}");
}
