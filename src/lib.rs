//! Postrider: from a commit in Postgres to a delivered webhook, with nothing lost.
//!
//! # Bird's eye
//!
//! An application commits; in its own transaction, SQL functions and triggers of ours wrote an event and one queue row for
//! each endpoint that wants it. A worker is woken by the doorbell, claims rows by a lease, hands each to a channel, and
//! completes them in batches. What fails comes back by the backoff table; what fails for good stays as a dead letter.
//!
//! ```text
//!  application ──commit──▶ events ─┬▶ webhook_queue ──claim──▶ delivery ──parcel──▶ channels ──▶ receiver
//!  (captured table, emit,          │        ▲                      │                    │
//!   direct insert, NOTIFY)         │        └─────complete─────────┴──────Outcome───────┘
//!                              doorbell: wakes whoever sleeps
//! ```
//!
//! # The rooms
//!
//! From the ground up; what lies lower never imports what lies higher.
//!
//! - The ground (L0), where the thinking is: `model` holds the nouns and how they may change, `backoff` says when to try
//!   again, `dialect` shapes envelopes and URLs, `crypto` signs and seals, `config` reads settings, `metrics` names every
//!   metric, `causes` writes an error with what caused it.
//! - `db` (L1) is the only one that speaks SQL: pool, migrations, the queue's statements, the doorbell, and the private
//!   Postgres in `db::embedded`. `channels` (L1) is the only one that speaks to the outside: a parcel in, an `Outcome` out.
//! - The rooms (L2): `delivery` claims, sends and completes; `ingest` turns NOTIFY into events; `http` answers the APIs,
//!   metrics and health; `realtime` streams the event log over sockets. Only `delivery` uses `channels`.
//! - `client` is the other end of `realtime`, for other programs and for `postrider listen`: it uses nothing of the rest, and can be
//!   built without it (feature `client`).
//! - `lifecycle` has the signals, the tasks and the two stages of shutdown, and `readiness` what is not ready yet: the rooms
//!   are given both. `telemetry` sets up logs; `source` finds or starts the Postgres; `app` is one running process and
//!   `roles` what it does (L3).
//! - `cli` (L4): one file a command. `main` parses, runs, and exits.
//!
//! The SQL half of the product lies in `migrations/` (functions, triggers, tables; the public interface carries `comment on`)
//! and in `sql/queue/` (the hot statements).
//!
//! # Invariants
//!
//! 1. **The four rooms (http, ingest, delivery, realtime) never import one another. They meet only in Postgres.** So each can
//!    run as its own process.
//! 2. Only `db` holds SQL or names `sqlx`. Only `channels` opens outbound connections. A channel never sees the database: a
//!    parcel in, an `Outcome` out. (`client` connects to one Postrider, which its user names.)
//! 3. L0 does no I/O, spawns nothing and asks no clock (`config` parses what `cli` hands it; `crypto` is given its
//!    randomness). That is where the thinking is, and where tests cost nothing.
//! 4. No transaction is open while we wait for the network. Work is held by a *lease* (expiry + token), never by a row lock.
//! 5. Every write that ends a lease names its token and must touch exactly one row.
//! 6. Nobody but `lifecycle` handles signals; nobody spawns a task outside the tracker.
//! 7. A delivery appears by one path only: event → delivery → attempt, or by direct insert, without an event. Attempts are
//!    never updated.
//!
//! One crate keeps the layout, so the compiler cannot hold these lines; `tests/it/tidy/` does, as far as text tells.

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod backoff;
pub mod causes;
#[cfg(feature = "server")]
pub mod channels;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod crypto;
#[cfg(feature = "server")]
pub mod db;
#[cfg(feature = "server")]
pub mod delivery;
#[cfg(feature = "server")]
pub mod dialect;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod ingest;
#[cfg(feature = "server")]
pub mod lifecycle;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod model;
#[cfg(feature = "server")]
pub mod readiness;
#[cfg(feature = "server")]
pub mod realtime;
#[cfg(feature = "server")]
pub mod roles;
#[cfg(feature = "server")]
pub mod source;
#[cfg(feature = "server")]
pub mod telemetry;
