//! A real HTTP receiver that answers by script and records what it was sent.
//!
//! ```ignore
//! let receiver = Receiver::start().await;                      // 200 to everything
//! receiver.answer(Answer::status(503).header("retry-after", "7"));
//! receiver.answer_in_turn([Answer::hang(), Answer::close(), Answer::ok()]);   // the last one stays
//! receiver.answer_with(|request| if request.path == "/a" { Answer::ok() } else { Answer::status(500) });
//! let requests = receiver.wait_for(3).await;
//! ```
//!
//! It speaks HTTP/1.1, and over TLS also HTTP/2. It ends when it is dropped.

mod answer;
mod wire;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) use answer::Answer;
use answer::{Body, Kind, WireBody, response};
use wire::{Instead, Wire};

use super::authority::Certificate;

/// How long `wait_for` waits before it fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When it had arrived whole.
    pub(crate) at: tokio::time::Instant,
}

impl Received {
    /// A header's value; empty where it was not sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the standard's own crate takes the signature, timestamp included.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        standardwebhooks::Webhook::new(secret)
            .unwrap()
            .verify(&self.body, &self.headers)
            .is_ok()
    }
}

/// A scripted receiver.
pub(crate) struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    /// Aborted when it is dropped.
    _server: JoinSet<()>,
}

type Script = Box<dyn FnMut(&Received) -> Answer + Send>;

struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    connections: AtomicUsize,
    /// Requests being answered now, and the most there ever were.
    answering: AtomicUsize,
    answering_max: AtomicUsize,
}

/// A request that is being answered, or was given up.
struct Answering<'a>(&'a Shared);

impl<'a> Answering<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let now = shared.answering.fetch_add(1, Ordering::SeqCst) + 1;
        shared.answering_max.fetch_max(now, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Receiver {
    /// Answers 200 over http until it is told otherwise.
    pub(crate) async fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST).await
    }

    /// The same at another address of this machine.
    pub(crate) async fn start_at(address: Ipv4Addr) -> Self {
        Self::listen(address, None).await
    }

    /// The same over https, under the name `localhost`.
    pub(crate) async fn start_tls(certificate: Certificate) -> Self {
        Self::listen(Ipv4Addr::LOCALHOST, Some(certificate.acceptor())).await
    }

    /// Accepts connections and never reads from them.
    pub(crate) async fn start_deaf() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, "http", |stream, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
    }

    /// Where it listens, with a slash at the end.
    pub(crate) fn url(&self) -> String {
        match self.scheme {
            "https" => format!("https://localhost:{}/", self.address.port()),
            scheme => format!("{scheme}://{}/", self.address),
        }
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, this.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answer_with(move |_| answer.clone());
    }

    /// These one after the other; the last one stays.
    pub(crate) fn answer_in_turn(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        self.answer_with(move |_| match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        });
    }

    /// By the request.
    pub(crate) fn answer_with(&self, script: impl FnMut(&Received) -> Answer + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// All requests so far, in the order of their arrival.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The `webhook-id` of each, in the same order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let requests = self.shared.requests.lock().unwrap();
        let ids = requests.iter().map(|request| request.header("webhook-id"));
        ids.map(str::to_owned).collect()
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        *self.shared.count.borrow()
    }

    /// How many connections were opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many requests were being answered at the same time, at most.
    pub(crate) fn concurrency_max(&self) -> usize {
        self.shared.answering_max.load(Ordering::SeqCst)
    }

    /// How many requests are being answered now.
    pub(crate) fn concurrency(&self) -> usize {
        self.shared.answering.load(Ordering::SeqCst)
    }

    /// Waits until there are `count` requests, and returns all there are then.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut arrived = self.shared.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, arrived.wait_for(|have| *have >= count)).await;
        assert!(
            waited.is_ok(),
            "{} of {count} requests arrived within {PATIENCE:?}",
            self.count()
        );
        self.requests()
    }

    async fn listen(address: Ipv4Addr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        Self::serve(listener, scheme, move |stream, shared| {
            connection(stream, tls.clone(), shared)
        })
    }

    fn serve<F>(
        listener: TcpListener,
        scheme: &'static str,
        handle: impl Fn(TcpStream, Arc<Shared>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(|_| Answer::ok())),
            requests: Mutex::default(),
            count: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            answering_max: AtomicUsize::new(0),
        });
        let mut server = JoinSet::new();
        let serving = Arc::clone(&shared);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                serving.connections.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                connections.spawn(handle(stream, Arc::clone(&serving)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            scheme,
            shared,
            _server: server,
        }
    }
}

/// One connection from the handshake to its end. What goes wrong on it is the client's to notice.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let Some(tls) = tls else {
        return http1(stream, shared).await;
    };
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2(stream, shared).await;
    } else {
        http1(stream, shared).await;
    }
}

async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let instead = Instead::default();
    let wire = Wire {
        stream,
        instead: Arc::clone(&instead),
        muted: false,
    };
    let service = service_fn(|request| respond(request, &shared, Some(&instead)));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(wire), service)
        .await;
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(request, &shared, None).await }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Closing is an error to hyper, which then closes.
#[derive(Debug, thiserror::Error)]
#[error("the script closes the connection")]
struct Closed;

async fn respond(
    request: Request<Incoming>,
    shared: &Shared,
    instead: Option<&Instead>,
) -> Result<Response<WireBody>, Closed> {
    let _answering = Answering::begin(shared);
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let received = Received {
        method: head.method,
        path: head.uri.path_and_query().unwrap().to_string(),
        version: head.version,
        headers: head.headers,
        body,
        at: tokio::time::Instant::now(),
    };
    let answer = (shared.script.lock().unwrap())(&received);
    shared.requests.lock().unwrap().push(received);
    shared.count.send_modify(|count| *count += 1);
    tokio::time::sleep(answer.delay).await;
    match answer.kind {
        Kind::Response {
            status,
            headers,
            body,
        } => Ok(response(status, headers, body)),
        Kind::Hang => std::future::pending().await,
        Kind::Close => Err(Closed),
        Kind::Raw(bytes) => {
            *instead.unwrap().lock().unwrap() = Some(bytes);
            let mut headers = HeaderMap::new();
            headers.insert("connection", "close".parse().unwrap());
            Ok(response(StatusCode::OK, headers, Body::Whole(Bytes::new())))
        }
    }
}
