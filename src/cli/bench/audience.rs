//! Many subscribers, a process of their own, so that what the server costs can be measured alone: the hidden `bench hear`.
//!
//! It is told what to do line by line, and answers each line with one. Clients that lose their connection come back, with the
//! cursor of the last event they saw.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::report::quantile;
use crate::db::bench::{MICROSECONDS_MAX, number_in};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Handshakes at once.
const OPENING: usize = 128;
/// Between two tries to come back.
const RETRY_MS: std::ops::Range<u64> = 20..60;

/// Arguments of the hidden `bench hear`.
#[derive(Debug, Args)]
pub(super) struct Hearing {
    /// Where to connect to.
    #[arg(long)]
    address: String,
    /// How many subscribers.
    #[arg(long)]
    connections: usize,
    /// What a WebSocket is asked for at; none: a bare connection, as the baseline's.
    #[arg(long)]
    path: Option<String>,
    /// Note when events come.
    #[arg(long)]
    timed: bool,
}

/// What all of them share.
struct Audience {
    hearing: Hearing,
    token: String,
    opening: Semaphore,
    connected: AtomicUsize,
    messages: AtomicU64,
    bytes: AtomicU64,
    news: Notify,
    latencies_us: Mutex<Vec<f64>>,
}

/// Does what it is told, until its input ends.
pub(super) async fn run(hearing: Hearing) -> anyhow::Result<ExitCode> {
    let count = hearing.connections;
    let audience = Arc::new(Audience {
        hearing,
        token: std::env::var("POSTRIDER_TOKEN").unwrap_or_default(),
        opening: Semaphore::new(OPENING),
        connected: AtomicUsize::new(0),
        messages: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        news: Notify::new(),
        latencies_us: Mutex::default(),
    });
    let mut members = JoinSet::new();
    for _ in 0..count {
        let audience = Arc::clone(&audience);
        members.spawn(async move { audience.member().await });
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut expected = 0;
    while let Some(line) = lines.next_line().await? {
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        match word {
            // So many are connected.
            "connected" => {
                let wanted: usize = number.parse()?;
                audience
                    .wait(|| audience.connected.load(Ordering::SeqCst) == wanted)
                    .await?;
                super::say("connected").await?;
            }
            // Each of them was sent so many more.
            "expect" => {
                let each: u64 = number.parse()?;
                expected += each * count as u64;
                audience
                    .wait(|| audience.messages.load(Ordering::SeqCst) >= expected)
                    .await
                    .with_context(|| {
                        let got = audience.messages.load(Ordering::SeqCst);
                        format!("{got} of {expected} messages came")
                    })?;
                let bytes = audience.bytes.swap(0, Ordering::SeqCst);
                super::say(&bytes.to_string()).await?;
            }
            // How long they took since the last time this was asked.
            "latencies" => {
                let taken = std::mem::take(&mut *audience.latencies());
                let quantiles = [0.5, 0.95, 0.99].map(|share| quantile(&taken, share) / 1e3);
                super::say(&serde_json::to_string(&quantiles)?).await?;
            }
            other => bail!("what is {other}?"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Audience {
    /// Waits for something that the members tell of.
    async fn wait(&self, holds: impl Fn() -> bool) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if holds() {
                    return;
                }
                // What was told between the look and the wait is looked at again soon.
                drop(timeout(Duration::from_millis(50), news).await);
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .context("the audience waited in vain")
    }

    fn latencies(&self) -> std::sync::MutexGuard<'_, Vec<f64>> {
        self.latencies_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them: connects, hears, and comes back.
    async fn member(&self) {
        let mut cursor = None;
        loop {
            // Whatever ends a connection, it is made again.
            drop(self.connection(&mut cursor).await);
            sleep(Duration::from_millis(rand::random_range(RETRY_MS))).await;
        }
    }

    /// One connection, to its end.
    async fn connection(&self, cursor: &mut Option<String>) -> anyhow::Result<()> {
        let permit = self.opening.acquire().await?;
        let mut stream = timeout(PATIENCE, TcpStream::connect(&self.hearing.address)).await??;
        let mut buffer = Vec::with_capacity(1024);
        if let Some(path) = &self.hearing.path {
            let resume = cursor.as_ref().map(|cursor| format!("?cursor={cursor}"));
            let request = format!(
                "GET {path}{} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                resume.unwrap_or_default(),
                self.token
            );
            stream.write_all(request.as_bytes()).await?;
            let head = timeout(PATIENCE, head(&mut stream, &mut buffer)).await??;
            anyhow::ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
            // The server says where we begin; from then on nothing is missed.
            while !buffer.windows(9).any(|window| window == b"\"control\"") {
                anyhow::ensure!(stream.read_buf(&mut buffer).await? > 0, "it closed");
            }
        }
        drop(permit);
        self.connected.fetch_add(1, Ordering::SeqCst);
        self.news.notify_one();
        let heard = self.hear(&mut stream, &mut buffer, cursor).await;
        self.connected.fetch_sub(1, Ordering::SeqCst);
        self.news.notify_one();
        heard
    }

    /// Takes what comes.
    async fn hear(
        &self,
        stream: &mut TcpStream,
        buffer: &mut Vec<u8>,
        cursor: &mut Option<String>,
    ) -> anyhow::Result<()> {
        loop {
            let (mut at, mut events) = (0, 0);
            let mut last = 0..0;
            while let Some((opcode, payload)) = frame(&buffer[at..]) {
                let payload = at + payload.start..at + payload.end;
                at = payload.end;
                match opcode {
                    1 if buffer[payload.clone()].starts_with(b"{\"id\"") => {
                        events += 1;
                        self.note(&buffer[payload.clone()]);
                        last = payload;
                    }
                    8 => bail!("it closed"),
                    9 => stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?,
                    _ => {}
                }
            }
            if !last.is_empty() && self.hearing.path.is_some() {
                *cursor = cursor_of(&buffer[last]);
            }
            buffer.drain(..at);
            if events > 0 {
                self.bytes.fetch_add(at as u64, Ordering::Relaxed);
                self.messages.fetch_add(events, Ordering::SeqCst);
                self.news.notify_one();
            }
            anyhow::ensure!(stream.read_buf(buffer).await? > 0, "it closed");
        }
    }

    /// Notes how long an event took, whose number says when it was sent.
    fn note(&self, payload: &[u8]) {
        if self.hearing.timed
            && let Some(sent) = number_in(payload)
        {
            let took = (microseconds() + MICROSECONDS_MAX - sent) % MICROSECONDS_MAX;
            #[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
            self.latencies().push(took as f64);
        }
    }
}

/// Now, as an event's number: the same in every process of this machine.
pub(super) fn microseconds() -> u64 {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000;
    u64::try_from(now).unwrap_or(0) % MICROSECONDS_MAX
}

/// The head of a response; what comes behind it stays in the buffer.
async fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            return Ok(String::from_utf8(head)?);
        }
        anyhow::ensure!(stream.read_buf(buffer).await? > 0, "it closed");
    }
}

/// The frame at the beginning: its opcode, and where its payload is. None while it is not whole.
fn frame(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (length, start) = match second & 0x7f {
        126 => {
            let length = bytes.get(2..4)?.try_into().ok()?;
            (usize::from(u16::from_be_bytes(length)), 4)
        }
        127 => {
            let length = bytes.get(2..10)?.try_into().ok()?;
            (usize::try_from(u64::from_be_bytes(length)).ok()?, 10)
        }
        short => (usize::from(short), 2),
    };
    (bytes.len() >= start + length).then_some((first & 0x0f, start..start + length))
}

/// The cursor in an event.
fn cursor_of(payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?;
    let (_, rest) = text.rsplit_once("\"cursor\":\"")?;
    rest.split('"').next().map(str::to_owned)
}

/// The process, as the one that started it sees it.
#[derive(Debug)]
pub(super) struct AudienceProcess {
    child: tokio::process::Child,
    answers: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    /// How many they are.
    pub count: u64,
}

impl AudienceProcess {
    /// Starts it, and waits until all are connected; also how long that took.
    pub(super) async fn start(
        address: std::net::SocketAddr,
        count: usize,
        more: &[&str],
        token: &str,
    ) -> anyhow::Result<(Self, Duration)> {
        let start = Instant::now();
        let mut child = tokio::process::Command::new("/proc/self/exe")
            .args(["bench", "hear", "--address", &address.to_string()])
            .args(["--connections", &count.to_string()])
            .args(more)
            .env("POSTRIDER_TOKEN", token)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting an audience")?;
        let out = child.stdout.take().context("its output")?;
        let mut audience = Self {
            child,
            answers: BufReader::new(out).lines(),
            count: count as u64,
        };
        audience.connected().await?;
        Ok((audience, start.elapsed()))
    }

    /// Waits until all are connected.
    pub(super) async fn connected(&mut self) -> anyhow::Result<()> {
        let count = self.count;
        self.ask(&format!("connected {count}")).await.map(drop)
    }

    /// Waits until nobody is.
    pub(super) async fn gone(&mut self) -> anyhow::Result<()> {
        self.ask("connected 0").await.map(drop)
    }

    /// Waits until each has so many events more. Answers with how many bytes they were in all.
    pub(super) async fn expect(&mut self, each: u64) -> anyhow::Result<u64> {
        Ok(self.ask(&format!("expect {each}")).await?.parse()?)
    }

    /// How long events took since the last time this was asked: p50, p95, p99 in milliseconds.
    pub(super) async fn latencies_ms(&mut self) -> anyhow::Result<[f64; 3]> {
        Ok(serde_json::from_str(&self.ask("latencies").await?)?)
    }

    async fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        let input = self.child.stdin.as_mut().context("its input")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        let answer = self.answers.next_line().await?;
        answer.with_context(|| format!("the audience ended at {line}"))
    }

    /// It goes.
    pub(super) async fn leave(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}
