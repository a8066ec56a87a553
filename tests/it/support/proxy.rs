//! A TCP proxy before Postgres, to cut what leads through it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of what is sent through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It goes on.
    Through,
    /// Nothing goes on and nothing is closed, as when a cable is pulled.
    Frozen,
    /// The same for those that listen; the others go on.
    Deaf,
    /// Connections are closed, and new ones refused.
    Cut,
}

/// The proxy. It ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    to: Arc<watch::Sender<PgConnectOptions>>,
    mode: Arc<watch::Sender<Mode>>,
    /// Connections of an earlier one that were frozen stay frozen.
    generation: Arc<AtomicU64>,
    _server: JoinSet<()>,
}

impl Proxy {
    /// Before this server, which listens on a socket in the file system or over TCP.
    pub(crate) async fn before(to: PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Through));
        let generation = Arc::new(AtomicU64::new(0));
        let mut server = JoinSet::new();
        let to = Arc::new(watch::Sender::new(to));
        server.spawn(serve(
            listener,
            Arc::clone(&to),
            Arc::clone(&mode),
            Arc::clone(&generation),
        ));
        Self {
            address,
            to,
            mode,
            generation,
            _server: server,
        }
    }

    /// How to connect through it.
    pub(crate) fn options(&self) -> PgConnectOptions {
        let to = self.to.borrow();
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.address.ip().to_string())
            .port(self.address.port())
            .username(to.get_username())
            .ssl_mode(PgSslMode::Disable);
        if let Some(database) = to.get_database() {
            options = options.database(database);
        }
        options
    }

    /// Leads to another server what connects from now on.
    pub(crate) fn lead_to(&self, to: PgConnectOptions) {
        self.to.send_replace(to);
    }

    /// Closes what is open, and refuses what comes.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Lets through what connects from now on; what was frozen stays so.
    pub(crate) fn mend_only_new(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.mend();
    }

    /// Holds everything back, without a word.
    pub(crate) fn freeze(&self) {
        self.mode.send_replace(Mode::Frozen);
    }

    /// Holds back, without a word, what workers listen by; what they claim and complete by goes on.
    pub(crate) fn deafen(&self) {
        self.mode.send_replace(Mode::Deaf);
    }

    /// Lets through what comes from now on.
    pub(crate) fn mend(&self) {
        self.mode.send_replace(Mode::Through);
    }
}

async fn serve(
    listener: TcpListener,
    to: Arc<watch::Sender<PgConnectOptions>>,
    mode: Arc<watch::Sender<Mode>>,
    generation: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        if *mode.borrow() == Mode::Cut {
            continue;
        }
        client.set_nodelay(true).unwrap();
        let to = to.borrow().clone();
        let path = match to.get_socket() {
            Some(directory) => directory.clone(),
            None => PathBuf::from(to.get_host()),
        };
        let port = to.get_port();
        let host = to.get_host().to_owned();
        let watched = Gate {
            mode: mode.subscribe(),
            born: generation.load(Ordering::SeqCst),
            generation: Arc::clone(&generation),
            listens: Arc::default(),
        };
        connections.spawn(async move {
            let (client_in, client_out) = client.into_split();
            if path.is_absolute() {
                let socket = path.join(format!(".s.PGSQL.{port}"));
                let Ok(server) = UnixStream::connect(socket).await else {
                    return;
                };
                let (server_in, server_out) = server.into_split();
                both(watched, (client_in, server_out), (server_in, client_out)).await;
            } else {
                let Ok(server) = TcpStream::connect((host, port)).await else {
                    return;
                };
                let (server_in, server_out) = server.into_split();
                both(watched, (client_in, server_out), (server_in, client_out)).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Whether something may pass on one connection.
#[derive(Clone)]
struct Gate {
    mode: watch::Receiver<Mode>,
    born: u64,
    generation: Arc<AtomicU64>,
    /// Whether it has said that it is a doorbell's.
    listens: Arc<AtomicBool>,
}

impl Gate {
    /// Looks at what is about to pass: the first message of a connection names it.
    fn look(&self, bytes: &[u8]) {
        let doorbell = b"postrider doorbell\0";
        if bytes
            .windows(doorbell.len())
            .any(|window| window == doorbell)
        {
            self.listens.store(true, Ordering::SeqCst);
        }
    }

    /// Waits until something may pass.
    async fn open(&mut self) -> bool {
        let passes = |mode: &Mode| match mode {
            Mode::Through => true,
            Mode::Deaf => !self.listens.load(Ordering::SeqCst),
            Mode::Frozen | Mode::Cut => false,
        };
        if self.mode.wait_for(passes).await.is_err() {
            return false;
        }
        if self.generation.load(Ordering::SeqCst) != self.born {
            std::future::pending::<()>().await;
        }
        true
    }
}

/// Both directions of one connection, until one of them ends or it is cut.
async fn both<A, B, C, D>(gate: Gate, there: (A, B), back: (C, D))
where
    A: AsyncRead + Unpin,
    B: AsyncWrite + Unpin,
    C: AsyncRead + Unpin,
    D: AsyncWrite + Unpin,
{
    let mut cut = gate.mode.clone();
    tokio::select! {
        () = pass(there.0, there.1, gate.clone()) => {}
        () = pass(back.0, back.1, gate) => {}
        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// One direction.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut gate: Gate) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        gate.look(&buffer[..read]);
        // What is frozen does not even hear that the other end has closed.
        if !gate.open().await || read == 0 {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
