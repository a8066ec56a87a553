//! Who the demo delivers to: an HTTP server that checks what it is sent and writes it down.
//!
//! It knows of a delivery only what arrives. It shares with the sender the secrets, and nothing else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::mail::{self, Mailbox};
use crate::db::demo::Address;
use crate::http;
use crate::lifecycle::Tasks;

/// One request that arrived, and how it was answered.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// To whom, and which.
    pub(super) address: Address,
    /// As [`crate::db::demo::Owed::digest`].
    pub(super) digest: [u8; 32],
    /// When the answer was ready.
    pub(super) at: Instant,
    /// Whether the answer was 2xx.
    pub(super) accepted: bool,
    /// What was wrong with the request.
    pub(super) fault: Option<&'static str>,
}

/// The running receiver. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What its handler writes to.
    desk: Arc<Desk>,
}

/// What the handler works with.
#[derive(Debug)]
struct Desk {
    mailboxes: Vec<Mailbox>,
    /// Whether the mailbox that can break is broken.
    broken: AtomicBool,
    book: Mutex<Book>,
}

/// What has arrived.
#[derive(Debug, Default)]
struct Book {
    arrivals: Vec<Arrival>,
    /// When each delivery was accepted first.
    accepted: HashMap<Address, Instant>,
}

impl Receiver {
    /// Listens on a free port of this machine. It answers until the process ends, also while the worker drains.
    pub(super) async fn start(mailboxes: Vec<Mailbox>, tasks: &Tasks) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("starting the demo's receiver")?;
        let address = listener
            .local_addr()
            .context("asking for the receiver's address")?;
        let desk = Arc::new(Desk {
            mailboxes,
            broken: AtomicBool::new(true),
            book: Mutex::default(),
        });
        let router = Router::new().fallback(receive).with_state(desk.clone());
        tasks.serve(
            "demo receiver",
            http::serve(listener, router, tasks.hard().clone()),
        );
        Ok(Self { address, desk })
    }

    /// Whose mail it takes.
    pub(super) fn mailboxes(&self) -> &[Mailbox] {
        &self.desk.mailboxes
    }

    /// From now on the broken mailbox accepts.
    pub(super) fn repair(&self) {
        self.desk.broken.store(false, Ordering::Relaxed);
    }

    /// Everything that has arrived.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.desk.book().arrivals.clone()
    }

    /// How many requests were answered with 2xx.
    pub(super) fn accepted(&self) -> usize {
        let book = self.desk.book();
        book.arrivals
            .iter()
            .filter(|arrival| arrival.accepted)
            .count()
    }

    /// When a delivery was accepted first.
    pub(super) fn accepted_at(&self, address: &Address) -> Option<Instant> {
        self.desk.book().accepted.get(address).copied()
    }

    /// When each attempt at a delivery was answered.
    pub(super) fn answered_at(&self, address: &Address) -> Vec<Instant> {
        let book = self.desk.book();
        let attempts = book
            .arrivals
            .iter()
            .filter(|arrival| arrival.address == *address);
        attempts.map(|arrival| arrival.at).collect()
    }

    /// The deliveries to somebody that arrived after a moment.
    pub(super) fn arrived_since(&self, moment: Instant, to: &str) -> usize {
        let book = self.desk.book();
        book.arrivals
            .iter()
            .filter(|arrival| arrival.at > moment && arrival.address.to == to)
            .count()
    }
}

impl Desk {
    /// What has arrived.
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at one request, answers it, writes it down.
async fn receive(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let mail = mail::read(&desk.mailboxes, &uri, &headers, &body);
    let broken = mail.can_break && desk.broken.load(Ordering::Relaxed);
    let answer = match mail.fault {
        Some(fault) => (StatusCode::BAD_REQUEST, fault),
        None if broken => (StatusCode::SERVICE_UNAVAILABLE, "down for maintenance"),
        None => (StatusCode::OK, "thanks"),
    };
    let arrival = Arrival {
        address: mail.address,
        digest: mail.digest,
        at: Instant::now(),
        accepted: answer.0.is_success(),
        fault: mail.fault,
    };
    let mut book = desk.book();
    if arrival.accepted {
        book.accepted
            .entry(arrival.address.clone())
            .or_insert(arrival.at);
    }
    book.arrivals.push(arrival);
    answer
}
