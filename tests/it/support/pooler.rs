//! A pooler in transaction mode before the test's Postgres.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Both halves of whatever Postgres listens on.
type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// The other half.
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Where Postgres is.
#[derive(Debug, Clone)]
struct Target {
    /// A Unix socket, if it has one.
    socket: Option<PathBuf>,
    /// Else a host.
    host: String,
    /// And a port.
    port: u16,
}

/// The pooler; dropping it cuts every connection.
#[derive(Debug)]
pub(crate) struct Pooler {
    /// Where it listens.
    port: u16,
    /// Where it leads.
    to: PgConnectOptions,
    /// All connections.
    _tasks: JoinSet<()>,
}

impl Pooler {
    /// One that gives each transaction to whichever server connection is next.
    pub(crate) async fn before(to: PgConnectOptions) -> Pooler {
        let servers = Servers {
            target: Target::of(&to),
            free: Mutex::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(servers)));
        Pooler {
            port,
            to,
            _tasks: tasks,
        }
    }

    /// How to connect through it.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(self.to.get_username())
            .database(self.to.get_database().expect("a database"))
            .ssl_mode(PgSslMode::Disable)
    }
}

/// Serves each client until the pooler is dropped.
async fn accept(listener: TcpListener, servers: Arc<Servers>) {
    let mut clients = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let servers = Arc::clone(&servers);
        // A client that goes away ends it with an error.
        clients.spawn(async move { drop(servers.serve(client).await) });
    }
}

impl Target {
    /// Where these options lead.
    fn of(options: &PgConnectOptions) -> Target {
        Target {
            socket: options
                .get_socket()
                .map(|directory| directory.join(format!(".s.PGSQL.{}", options.get_port()))),
            host: options.get_host().to_owned(),
            port: options.get_port(),
        }
    }

    /// A connection to it.
    async fn connect(&self) -> io::Result<(Reader, Writer)> {
        if let Some(socket) = &self.socket {
            let (reader, writer) = UnixStream::connect(socket).await?.into_split();
            return Ok((Box::new(reader), Box::new(writer)));
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (reader, writer) = stream.into_split();
        Ok((Box::new(reader), Box::new(writer)))
    }
}

/// The server connections of a pooler.
struct Servers {
    /// Where they lead.
    target: Target,
    /// Those between two transactions; taken in turns.
    free: Mutex<VecDeque<Server>>,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Servers").finish_non_exhaustive()
    }
}

/// One server connection, past its start.
struct Server {
    /// From it.
    reader: Reader,
    /// To it.
    writer: Writer,
    /// How it greeted us; every client is greeted so.
    greeting: Vec<u8>,
}

impl Servers {
    /// One client: its start-up opens a connection for the pool, and from then on each transaction takes the next one.
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let startup = read_startup(&mut client).await?;
        let server = Server::open(&self.target, &startup).await?;
        client.write_all(&server.greeting).await?;
        self.free.lock().await.push_back(server);
        loop {
            let mut message = read_message(&mut client).await?;
            let next = self.free.lock().await.pop_front();
            let Some(mut server) = next else {
                return Err(io::ErrorKind::WouldBlock.into());
            };
            loop {
                server.writer.write_all(&message).await?;
                let ends_a_request = matches!(message[0], b'Q' | b'S');
                if ends_a_request && server.answer(&mut client).await? == b'I' {
                    break;
                }
                message = read_message(&mut client).await?;
            }
            self.free.lock().await.push_back(server);
        }
    }
}

impl Server {
    /// Connects with a client's start-up message.
    async fn open(target: &Target, startup: &[u8]) -> io::Result<Server> {
        let (reader, mut writer) = target.connect().await?;
        writer.write_all(startup).await?;
        let mut server = Server {
            reader,
            writer,
            greeting: Vec::new(),
        };
        let mut greeting = Vec::new();
        server.answer(&mut greeting).await?;
        server.greeting = greeting;
        Ok(server)
    }

    /// Passes an answer on, but no notification: it belongs to nobody. The state of the transaction after it.
    async fn answer(&mut self, client: &mut (impl AsyncWrite + Unpin)) -> io::Result<u8> {
        loop {
            let message = read_message(&mut self.reader).await?;
            if message[0] != b'A' {
                client.write_all(&message).await?;
            }
            if message[0] == b'Z' {
                return Ok(message[5]);
            }
        }
    }
}

/// The first message has no type. Clients are told not to ask for encryption.
async fn read_startup(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    client.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// Any other message: its type, its length, its content.
async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]);
    message.resize(1 + length as usize, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}
