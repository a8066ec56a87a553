//! The sidecar's doors, with a raw client.

mod vzaps;

use std::sync::Arc;
use std::time::Duration;

use postrider::config::{self, File, Sources};
use postrider::crypto::Keyring;
use postrider::db::doorbell::{Doorbell, DoorbellSettings};
use postrider::db::{Database, Purpose};
use postrider::lifecycle::Tasks;
use postrider::metrics::Metrics;
use postrider::readiness::Readiness;
use postrider::realtime::{Equipment, start};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::api::ACCOUNT;
use crate::support::app::TestApp;
use crate::support::wait::PATIENCE;

/// The role, in this process.
struct Sidecar {
    address: std::net::SocketAddr,
    tasks: Tasks,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.tasks.soft().cancel();
        self.tasks.hard().cancel();
    }
}

/// Starts it.
async fn sidecar(app: &TestApp) -> Sidecar {
    let text = format!("[api]\naccount_token = '{ACCOUNT}'\n");
    let file = File {
        name: "test.toml".into(),
        text,
    };
    let config = config::load(Sources {
        file: Some(file),
        ..Sources::default()
    })
    .unwrap()
    .config;
    let tasks = Tasks::default();
    let (metrics, _exporter) = Metrics::new();
    let doorbell = Doorbell::new(
        app.options(),
        DoorbellSettings::default(),
        Arc::new(metrics),
    );
    let (running, soft) = (doorbell.clone(), tasks.soft().clone());
    tasks.spawn("doorbell", async move { running.run(soft).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let equipment = Equipment {
        database: Database::open(app.options(), Purpose::Realtime, 4),
        route: app.options().into(),
        doorbell,
        keyring: Arc::new(Keyring::new(None, &[]).unwrap()),
        public_url: format!("http://{address}"),
        tasks: tasks.clone(),
        ready: Readiness::default().condition("realtime", "starting"),
    };
    let (_sidecar, router) = start(&config, equipment);
    tasks.serve(
        "http",
        postrider::http::serve(listener, router, tasks.hard().clone()),
    );
    Sidecar { address, tasks }
}

/// A raw client.
struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
}

impl Client {
    /// Sends a request; answers with the head of the response.
    async fn open(sidecar: &Sidecar, path: &str, socket: bool) -> (Client, String) {
        let stream = TcpStream::connect(sidecar.address).await.unwrap();
        let mut client = Client {
            stream,
            pending: Vec::new(),
        };
        let upgrade = if socket {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        } else {
            ""
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACCOUNT}\r\n{upgrade}\r\n"
        );
        client.stream.write_all(request.as_bytes()).await.unwrap();
        let head = client.until(b"\r\n\r\n").await;
        (client, String::from_utf8(head).unwrap())
    }

    async fn more(&mut self) {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.pending)).await;
        assert!(read.unwrap().unwrap() > 0, "the server closed");
    }

    /// Everything up to a mark, which is included.
    async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self
                .pending
                .windows(mark.len())
                .position(|window| window == mark)
            {
                return self.pending.drain(..at + mark.len()).collect();
            }
            self.more().await;
        }
    }

    /// The next frame: opcode and payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let (size, length) = match self.pending.get(1) {
                Some(126) if self.pending.len() >= 4 => (
                    4,
                    usize::from(u16::from_be_bytes([self.pending[2], self.pending[3]])),
                ),
                Some(&short) if short < 126 => (2, usize::from(short)),
                _ => (usize::MAX, 0),
            };
            if size != usize::MAX && self.pending.len() >= size + length {
                let frame: Vec<u8> = self.pending.drain(..size + length).collect();
                return (frame[0] & 0x0f, frame[size..].to_vec());
            }
            self.more().await;
        }
    }

    /// The next text, as JSON.
    async fn message(&mut self) -> Value {
        let (opcode, payload) = self.frame().await;
        assert_eq!(opcode, 1, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }

    /// Sends a masked frame.
    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![
            0x80 | opcode,
            0x80 | u8::try_from(payload.len()).unwrap(),
            0,
            0,
            0,
            0,
        ];
        frame.extend(payload);
        self.stream.write_all(&frame).await.unwrap();
    }
}

/// Emits an event with a number.
async fn emit(app: &TestApp, number: usize) {
    app.sql(&format!(
        "select postrider.emit('shop', 'order.paid', '{{\"n\":{number}}}')"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_on_a_socket_and_go_on_after_a_cursor() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let path = "/v1/instances/shop/stream";
    let (mut client, head) = Client::open(&sidecar, path, true).await;
    assert!(
        head.starts_with("HTTP/1.1 101")
            && head.to_lowercase().contains("s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    let position = client.message().await;
    assert_eq!(position["recovered"], true);
    emit(&app, 1).await;
    emit(&app, 2).await;
    let first = client.message().await;
    assert_eq!(
        (&first["type"], &first["data"]["n"]),
        (&"order.paid".into(), &1.into())
    );
    let second = client.message().await;
    client.send(9, b"hello").await;
    assert_eq!(client.frame().await, (0xA, b"hello".to_vec()));
    client.send(8, &1000_u16.to_be_bytes()).await;
    assert_eq!(client.frame().await.0, 8);
    emit(&app, 3).await;
    let cursor = first["cursor"].as_str().unwrap();
    let (mut client, _) = Client::open(&sidecar, &format!("{path}?cursor={cursor}"), true).await;
    client.message().await;
    assert_eq!(client.message().await["id"], second["id"]);
    assert_eq!(client.message().await["data"]["n"], 3);
    emit(&app, 4).await;
    assert_eq!(client.message().await["data"]["n"], 4);
    // Another process knows nothing of the ring: the table answers.
    let other = self::sidecar(&app).await;
    let (mut client, _) = Client::open(&other, &format!("{path}?cursor={cursor}"), true).await;
    client.message().await;
    for number in 2..=4 {
        assert_eq!(client.message().await["data"]["n"], number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_server_sent_events() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    emit(&app, 1).await;
    let (mut client, head) =
        Client::open(&sidecar, "/v1/instances/shop/stream?from=earliest", false).await;
    assert!(head.contains("text/event-stream"), "{head}");
    let told = client.until(b"\"n\":1").await;
    assert!(String::from_utf8(told).unwrap().contains("event: position"));
    emit(&app, 2).await;
    client.until(b"\"n\":2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ryze_socket_is_refused_until_it_is_configured_and_then_speaks_its_envelope() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let (_, head) = Client::open(&sidecar, "/ws/shop", true).await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    let (_, head) = Client::open(&sidecar, "/ws/nobody", true).await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    app.sql("select postrider.set_endpoint('shop', 'default', dialect => 'ryze', channel => 'websocket')").await;
    let (mut client, head) = Client::open(&sidecar, "/ws/shop", true).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    emit(&app, 1).await;
    let event = client.message().await;
    assert_eq!(
        (&event["event"], &event["instanceData"]["instance"]),
        (&"order.paid".into(), &"shop".into())
    );
}
