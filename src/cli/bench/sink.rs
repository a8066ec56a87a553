//! A receiver that does as little as HTTP/1.1 allows: keep-alive, a length, 200. It counts what it is sent.
//!
//! It runs as a process of its own (hidden subcommand), so that its cost can be told from the worker's; in tests of latency it
//! runs inside the benchmark, so that both ends share a clock.

use std::io;
use std::net::SocketAddr;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::task::TaskTracker;

use super::tally::{Tally, Verdict};
use crate::db::bench::number_in;

/// What it accepts is answered so.
const ACCEPTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// And what it refuses.
const REFUSED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
/// Room for many requests at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// Asks for the tally.
const VERDICT: &str = "verdict";

/// One request, as far as anybody wants to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

/// What to do about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200 at once.
    Yes,
    /// 500 at once.
    No,
    /// Nothing, ever; the connection stays open.
    Never,
}

/// Serves every connection until dropped; `hear` sees each request before it is answered.
pub(super) async fn serve<H>(listener: TcpListener, hear: H) -> io::Result<()>
where
    H: Fn(Received<'_>) -> Answer + Clone + Send + 'static,
{
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that breaks is the sender's loss: what it did not get an answer to, it sends again.
        connections.spawn(connection(stream, hear.clone()));
    }
}

/// Serves one connection to its end.
async fn connection<H: Fn(Received<'_>) -> Answer>(
    mut stream: TcpStream,
    hear: H,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    let mut answers = Vec::new();
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut start = 0;
        while let Some((received, length)) = parse(&buffer[start..filled]) {
            match hear(received) {
                Answer::Yes => answers.extend_from_slice(ACCEPTED),
                Answer::No => answers.extend_from_slice(REFUSED),
                Answer::Never => std::future::pending().await,
            }
            start += length;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
    }
}

/// The first request and its length, once it is there whole. Understands what our own client sends: a length, no chunks.
fn parse(bytes: &[u8]) -> Option<(Received<'_>, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let path = text.split(' ').nth(1)?;
    let length = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(Some(0), |value| value.parse().ok())?;
    let end = head + length;
    let body = bytes.get(head..end)?;
    Some((Received { path, body }, end))
}

/// Arguments of the hidden subcommand.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keeps a tally of so many deliveries, and refuses those that its script says
    #[arg(long, value_name = "N")]
    tally: Option<u64>,
}

/// The hidden subcommand: says where it listens, then answers each line on standard input, and ends with it.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let requests = Arc::new(AtomicU64::new(0));
    let tally = arguments.tally.map(Tally::of).map(Arc::new);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut out = tokio::io::stdout();
    out.write_all(format!("{}\n", listener.local_addr()?).as_bytes())
        .await?;
    out.flush().await?;
    let (counting, keeping) = (requests.clone(), tally.clone());
    let serving = serve(listener, move |received| {
        counting.fetch_add(1, Ordering::Relaxed);
        match &keeping {
            Some(tally) if !tally.hear(number_in(received.body)) => Answer::No,
            _ => Answer::Yes,
        }
    });
    let asked = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(question) = lines.next_line().await? {
            let answer = match &tally {
                Some(tally) if question == VERDICT => serde_json::to_string(&tally.verdict())?,
                _ => requests.load(Ordering::Relaxed).to_string(),
            };
            out.write_all(format!("{answer}\n").as_bytes()).await?;
            out.flush().await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ended = serving => ended.context("serving")?,
        ended = asked => ended?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A sink in a process of its own; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct SinkProcess {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl SinkProcess {
    /// Starts one that accepts everything.
    pub(super) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one that keeps a tally of so many deliveries.
    pub(super) async fn with_tally(deliveries: u64) -> anyhow::Result<Self> {
        Self::start_with(&["--tally", &deliveries.to_string()]).await
    }

    async fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .args(["bench", "sink"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the sink")?;
        let questions = child.stdin.take().context("the sink's input")?;
        let answers = child.stdout.take().context("the sink's output")?;
        let mut answers = BufReader::new(answers).lines();
        let address = answers.next_line().await?.context("the sink ended")?;
        Ok(Self {
            child,
            questions,
            answers,
            address: address.parse()?,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Requests so far.
    pub(super) async fn requests(&mut self) -> anyhow::Result<u64> {
        Ok(self.ask("requests").await?.parse()?)
    }

    /// What its tally says.
    pub(super) async fn verdict(&mut self) -> anyhow::Result<Verdict> {
        Ok(serde_json::from_str(&self.ask(VERDICT).await?)?)
    }

    async fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        self.questions
            .write_all(format!("{question}\n").as_bytes())
            .await?;
        self.answers.next_line().await?.context("the sink ended")
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_request_is_taken_once_it_is_there_whole_and_the_next_one_follows() {
        let one = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
        for cut in 0..one.len() {
            assert!(parse(&one[..cut]).is_none(), "{cut}");
        }
        let mut two = one.to_vec();
        two.extend_from_slice(b"POST /b HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        let (first, length) = parse(&two).unwrap();
        assert_eq!((first.path, first.body), ("/a", &b"abc"[..]));
        assert_eq!(parse(&two[length..]).unwrap().0.path, "/b");
    }
}
