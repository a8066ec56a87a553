//! A client that comes back by its cursor, as a good one does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use super::STREAM;
use crate::support::api::ACCOUNT;
use crate::support::wait::{PATIENCE, until};

/// What one has been told.
#[derive(Debug, Default)]
struct Told {
    /// The ids of the events, in their order; empty where the door has none.
    events: Vec<String>,
    /// The numbers in their data, where they have one.
    numbers: Vec<i64>,
    /// What it was told at the beginning of each connection.
    positions: Vec<Value>,
    cursor: Option<String>,
    /// With which codes it was closed.
    closes: Vec<u16>,
}

/// One that is connected, or about to be. It ends when it is dropped.
pub(super) struct Subscriber {
    told: Arc<Mutex<Told>>,
    address: watch::Sender<Option<SocketAddr>>,
    _task: JoinSet<()>,
}

impl Subscriber {
    /// Connects, with what follows the `?`, and waits until it is told where it begins.
    pub(super) async fn connect(address: SocketAddr, query: &'static str) -> Self {
        let subscriber = Self::to(address, (STREAM, query));
        subscriber.connected(1).await;
        subscriber
    }

    /// Connects to a door, as `websocat` would in a loop: with a query at first, and with the last cursor from then on.
    pub(super) fn to(address: SocketAddr, door: (&'static str, &'static str)) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let address = watch::Sender::new(Some(address));
        let mut task = JoinSet::new();
        task.spawn(subscribe(Arc::clone(&told), address.subscribe(), door));
        Self {
            told,
            address,
            _task: task,
        }
    }

    /// The numbers of the events it has been given.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.told.lock().unwrap().numbers.clone()
    }

    /// Connects somewhere else from now on; to nobody, where that is none.
    pub(super) fn lead_to(&self, address: Option<SocketAddr>) {
        self.address.send_replace(address);
    }

    /// Waits until it has been let in so many times.
    pub(super) async fn connected(&self, times: usize) {
        until("the subscriber is connected", PATIENCE, async || {
            self.told.lock().unwrap().positions.len() >= times
        })
        .await;
    }

    /// How often it has been let in.
    pub(super) fn connections(&self) -> usize {
        self.told.lock().unwrap().positions.len()
    }

    /// The codes it has been closed with.
    pub(super) fn closes(&self) -> Vec<u16> {
        self.told.lock().unwrap().closes.clone()
    }

    /// What it was told when it was let in last.
    pub(super) fn position(&self) -> Value {
        self.told.lock().unwrap().positions.last().unwrap().clone()
    }

    /// Waits until it has been given so many events; answers with their ids.
    pub(super) async fn events(&self, count: usize) -> Vec<String> {
        let what = format!("{count} events have come");
        until(&what, PATIENCE, async || {
            self.told.lock().unwrap().events.len() >= count
        })
        .await;
        self.told.lock().unwrap().events.clone()
    }

    /// Checks that it was given these, each once and in this order, and was never told of a gap.
    pub(super) async fn assert_has_exactly(&self, events: &[String]) {
        let seen = self.events(events.len()).await;
        let never_sent: Vec<_> = seen.iter().filter(|id| !events.contains(id)).collect();
        assert!(never_sent.is_empty(), "never stored: {never_sent:?}");
        assert_eq!(seen.len(), events.len());
        let first = seen.iter().zip(events).find(|(seen, sent)| seen != sent);
        assert_eq!(first, None);
        let told = self.told.lock().unwrap();
        let gap = told
            .positions
            .iter()
            .find(|position| position["recovered"] != true);
        assert_eq!(gap, None);
    }
}

/// Connects again and again, and goes on where it was.
async fn subscribe(
    told: Arc<Mutex<Told>>,
    mut address: watch::Receiver<Option<SocketAddr>>,
    door: (&'static str, &'static str),
) {
    loop {
        let Some(there) = *address.borrow_and_update() else {
            if address.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            _ = listen(&told, there, door) => sleep(Duration::from_millis(50)).await,
            _ = address.changed() => {}
        }
    }
}

/// One connection, to its end.
async fn listen(
    told: &Mutex<Told>,
    address: SocketAddr,
    (path, query): (&str, &str),
) -> std::io::Result<()> {
    let cursor = told.lock().unwrap().cursor.clone();
    let query = cursor.map_or_else(
        || query.to_owned(),
        |cursor| format!("{query}&cursor={cursor}"),
    );
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path}?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACCOUNT}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut pending = Vec::new();
    let end = b"\r\n\r\n";
    let head = loop {
        if let Some(at) = pending.windows(4).position(|window| window == end) {
            break pending.drain(..at + 4).collect::<Vec<u8>>();
        }
        more(&mut stream, &mut pending).await?;
    };
    if !head.starts_with(b"HTTP/1.1 101") {
        return Ok(());
    }
    loop {
        let (opcode, payload) = frame(&mut stream, &mut pending).await?;
        match opcode {
            1 => {
                let message: Value = serde_json::from_slice(&payload).unwrap();
                let mut told = told.lock().unwrap();
                told.cursor = message["cursor"].as_str().map(str::to_owned);
                if message.get("control").is_some() {
                    told.positions.push(message);
                } else {
                    let id = message["id"].as_str().unwrap_or_default();
                    told.events.push(id.to_owned());
                    told.numbers.extend(message["data"]["n"].as_i64());
                }
            }
            8 => {
                if let [high, low, ..] = payload[..] {
                    let code = u16::from_be_bytes([high, low]);
                    told.lock().unwrap().closes.push(code);
                }
                return Ok(());
            }
            _ => {}
        }
    }
}

/// The next frame: opcode and payload.
async fn frame(stream: &mut TcpStream, pending: &mut Vec<u8>) -> std::io::Result<(u8, Vec<u8>)> {
    loop {
        let (start, length) = match pending[..] {
            [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
            [_, short, ..] if short < 126 => (2, usize::from(short)),
            _ => (usize::MAX, 0),
        };
        if start != usize::MAX && pending.len() >= start + length {
            let frame: Vec<u8> = pending.drain(..start + length).collect();
            return Ok((frame[0] & 0x0f, frame[start..].to_vec()));
        }
        more(stream, pending).await?;
    }
}

/// Reads on; the end is an error.
async fn more(stream: &mut TcpStream, pending: &mut Vec<u8>) -> std::io::Result<()> {
    match stream.read_buf(pending).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
