//! A client of bytes on a TCP connection: it sends what it is told, right or wrong, and hides nothing of what comes.
//!
//! ```ignore
//! let mut client = Request::to("/v1/instances/shop/stream").socket(&sidecar).await;   // 101, or the test fails
//! client.send(TEXT, b"{}").await;
//! assert_eq!(client.closed().await.0, 1002);
//! ```

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::sidecar::Sidecar;
use crate::support::api::ACCOUNT;
use crate::support::wait::PATIENCE;

/// Opcodes.
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xA;
/// The last frame of a message.
pub(super) const FIN: u8 = 0x80;

/// The end of a body in chunks.
pub(super) const END: &[u8] = b"\r\n0\r\n\r\n";

/// A request, to be sent.
pub(super) struct Request {
    path: String,
    token: Option<String>,
    headers: String,
    receive_bytes: Option<u32>,
}

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    lines: String,
}

/// A connection after its response's head.
pub(super) struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
    /// It has been told where it begins.
    positioned: bool,
}

impl Request {
    /// With the account's token as a bearer.
    pub(super) fn to(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            token: Some(ACCOUNT.to_owned()),
            headers: String::new(),
            receive_bytes: None,
        }
    }

    /// With this token instead.
    pub(super) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Without a bearer.
    pub(super) fn nobody(mut self) -> Self {
        self.token = None;
        self
    }

    /// With one more header.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        write!(self.headers, "{name}: {value}\r\n").unwrap();
        self
    }

    /// Whose machine buffers no more than about so much.
    pub(super) fn receiving(mut self, bytes: u32) -> Self {
        self.receive_bytes = Some(bytes);
        self
    }

    /// Asks for a socket, and must be given one.
    pub(super) async fn socket(self, sidecar: &Sidecar) -> Client {
        let (client, head) = self.upgrade(sidecar.address).await;
        assert_eq!(head.status, 101, "{head:?}");
        client
    }

    /// Asks for a socket.
    pub(super) async fn upgrade(self, address: SocketAddr) -> (Client, Head) {
        let asking = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let request = asking
            .into_iter()
            .fold(self, |request, (name, value)| request.header(name, value));
        request.get(address).await
    }

    /// Asks for a body.
    pub(super) async fn get(self, address: SocketAddr) -> (Client, Head) {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = self.receive_bytes {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(address).await.unwrap();
        let mut client = Client {
            stream,
            pending: Vec::new(),
            positioned: false,
        };
        let bearer = self.token.map_or(String::new(), |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: x\r\n{bearer}{}\r\n",
            self.path, self.headers
        );
        client.raw(request.as_bytes()).await;
        let lines = String::from_utf8(client.until(b"\r\n\r\n").await).unwrap();
        let status = lines[9..12].parse().unwrap();
        (client, Head { status, lines })
    }
}

impl Head {
    /// A header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.lines.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    /// Sends bytes as they are.
    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The same towards a server that may have closed.
    pub(super) async fn try_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Sends a whole masked frame.
    pub(super) async fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.raw(&masked(FIN | opcode, payload)).await;
    }

    /// Sends JSON.
    pub(super) async fn say(&mut self, message: &Value) {
        self.send(TEXT, message.to_string().as_bytes()).await;
    }

    /// Reads more. False at the end.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.pending)).await;
        read.expect("nothing comes").is_ok_and(|count| count > 0)
    }

    /// The body that belongs to a head.
    pub(super) async fn body(&mut self, head: &Head) -> Vec<u8> {
        let length = head.header("content-length").unwrap_or("0");
        let length: usize = length.parse().unwrap();
        while self.pending.len() < length {
            assert!(self.more().await, "the server closed within a body");
        }
        self.pending.drain(..length).collect()
    }

    /// Everything up to a mark, which is included.
    pub(super) async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            let found = self
                .pending
                .windows(mark.len())
                .position(|part| part == mark);
            if let Some(at) = found {
                return self.pending.drain(..at + mark.len()).collect();
            }
            let more = self.more().await;
            assert!(more, "the server closed before {mark:?}");
        }
    }

    /// The next frame: its first byte and its payload; none at the end.
    pub(super) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, at, end)) = measure(&self.pending)
                && self.pending.len() >= end
            {
                let frame: Vec<u8> = self.pending.drain(..end).collect();
                return Some((first, frame[at..].to_vec()));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next frame: opcode and payload. Frames of ours are whole.
    pub(super) async fn frame(&mut self) -> (u8, Vec<u8>) {
        let (first, payload) = self.next().await.expect("the server closed");
        assert_eq!(first & 0xf0, FIN, "a frame that is not whole");
        (first & 0x0f, payload)
    }

    /// Waits until the server reads what is sent: by then it has let the connection in, whole.
    pub(super) async fn settled(&mut self) {
        self.send(PING, b"settled").await;
        assert_eq!(self.heard().await, (PONG, b"settled".to_vec()));
    }

    /// The same behind the first message of our own door.
    pub(super) async fn settled_after_position(&mut self) {
        assert_eq!(self.message().await["control"], "position");
        self.settled().await;
    }

    /// Closes in order.
    pub(super) async fn leave(mut self) {
        self.send(CLOSE, &1000_u16.to_be_bytes()).await;
        assert_eq!(self.closed().await, (1000, String::new()));
    }

    /// The next frame that is no sign of life: pings are answered, and positions only count the first time.
    pub(super) async fn heard(&mut self) -> (u8, Vec<u8>) {
        loop {
            let (opcode, payload) = self.frame().await;
            let position = payload.starts_with(br#"{"control":"position""#);
            if opcode == PING {
                self.send(PONG, &payload).await;
            } else if !(position && self.positioned) {
                self.positioned |= position;
                return (opcode, payload);
            }
        }
    }

    /// The next text, as JSON.
    pub(super) async fn message(&mut self) -> Value {
        match self.heard().await {
            (TEXT, payload) => serde_json::from_slice(&payload).unwrap(),
            (opcode, payload) => panic!("{opcode:x}: {}", payload.escape_ascii()),
        }
    }

    /// The next text that is an event.
    pub(super) async fn event(&mut self) -> Value {
        loop {
            let message = self.message().await;
            if message.get("control").is_none() {
                return message;
            }
        }
    }

    /// The numbers of the next events.
    pub(super) async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.event().await["data"]["n"].as_u64().unwrap());
        }
        numbers
    }

    /// The server closes, whatever it sends before: the code and the reason. Then it hangs up.
    pub(super) async fn closed(&mut self) -> (u16, String) {
        let payload = loop {
            let (first, payload) = self.next().await.expect("closed without a word");
            if first == FIN | CLOSE {
                break payload;
            }
        };
        let answer = masked(FIN | CLOSE, payload.get(..2).unwrap_or_default());
        self.try_raw(&answer).await;
        self.gone().await;
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return (1005, String::new());
        };
        let reason = String::from_utf8(reason.to_vec()).unwrap();
        (u16::from_be_bytes(*code), reason)
    }

    /// The server hangs up; what comes before does not matter.
    pub(super) async fn gone(&mut self) {
        while self.more().await {
            self.pending.clear();
        }
    }

    /// The next server-sent event, as its fields. Comments are left out.
    pub(super) async fn sse(&mut self) -> SseEvent {
        loop {
            let text = String::from_utf8(self.until(b"\n\n").await).unwrap();
            let mut event = SseEvent::default();
            for line in text.lines() {
                // Chunks of HTTP stand between; none of their lines has a field.
                let Some((field, value)) = line.split_once(": ") else {
                    continue;
                };
                match field {
                    "id" => value.clone_into(&mut event.id),
                    "event" => value.clone_into(&mut event.event),
                    "data" => event.data.push_str(value),
                    _ => {}
                }
            }
            if !event.data.is_empty() {
                return event;
            }
        }
    }
}

/// A server-sent event.
#[derive(Debug, Default)]
pub(super) struct SseEvent {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) data: String,
}

impl SseEvent {
    /// Its data.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A frame as a client sends it; the first byte is taken as it is.
pub(super) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    let bytes = payload.iter().zip(MASK.iter().cycle());
    frame.extend(bytes.map(|(byte, mask)| byte ^ mask));
    frame
}

/// Of the frame that begins here: its first byte, and where its payload begins and ends.
fn measure(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let &[first, second, ref rest @ ..] = bytes else {
        return None;
    };
    assert_eq!(second & 0x80, 0, "a frame of a server is not masked");
    let (at, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    Some((first, at, at + usize::try_from(length).unwrap()))
}
