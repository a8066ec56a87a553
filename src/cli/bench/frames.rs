//! The baseline of `fanout`: a loop that writes the same finished frames to the same number of sockets, and nothing else. A
//! process of its own, as the server is: the hidden `bench frames`.

use std::io::{BufRead, ErrorKind, IoSlice, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, bail};
use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Arguments of the hidden `bench frames`.
#[derive(Debug, Args)]
pub(super) struct Writing {
    /// How many sockets.
    #[arg(long)]
    connections: usize,
    /// How long a frame is.
    #[arg(long)]
    bytes: usize,
}

/// Says where it listens, and writes as it is told until its input ends. Blocking, in the thread it is called in: nothing else runs.
pub(super) fn run(writing: &Writing) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    let mut sockets = Vec::with_capacity(writing.connections);
    for _ in 0..writing.connections {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    let frame = frame(writing.bytes);
    for line in std::io::stdin().lock().lines() {
        let count: usize = line?.parse().context("how many frames")?;
        let slices = vec![IoSlice::new(&frame); count];
        let whole = frame.repeat(count);
        for socket in &mut sockets {
            write(socket, &slices, &whole)?;
        }
        writeln!(out, "written")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All of it in one write, as far as the socket takes it; the rest as soon as it does.
fn write(socket: &mut TcpStream, slices: &[IoSlice<'_>], whole: &[u8]) -> anyhow::Result<()> {
    let mut written = 0;
    while written < whole.len() {
        let result = match written {
            0 => socket.write_vectored(slices),
            _ => socket.write(&whole[written..]),
        };
        match result {
            Ok(0) => bail!("a socket takes no more"),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A text frame of this length that an audience counts as an event.
fn frame(bytes: usize) -> Vec<u8> {
    let length = u16::try_from(bytes.saturating_sub(4))
        .unwrap_or(u16::MAX)
        .max(126);
    let mut frame = vec![0x81, 126];
    frame.extend(length.to_be_bytes());
    frame.extend(b"{\"id\"");
    frame.resize(4 + usize::from(length), b' ');
    frame
}

/// The process, as the one that started it sees it.
#[derive(Debug)]
pub(super) struct FramesProcess {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl FramesProcess {
    /// Starts it.
    pub(super) async fn start(connections: usize, bytes: usize) -> anyhow::Result<Self> {
        let mut child = Command::new("/proc/self/exe")
            .args(["bench", "frames", "--connections", &connections.to_string()])
            .args(["--bytes", &bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the baseline")?;
        let mut answers = BufReader::new(child.stdout.take().context("its output")?).lines();
        let address = answers.next_line().await?.context("the baseline ended")?;
        Ok(Self {
            child,
            answers,
            address: address.parse()?,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Writes so many frames to each socket.
    pub(super) async fn write(&mut self, frames: u64) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("its input")?;
        input.write_all(format!("{frames}\n").as_bytes()).await?;
        self.answers
            .next_line()
            .await?
            .context("the baseline ended")?;
        Ok(())
    }

    /// It goes.
    pub(super) async fn leave(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}
