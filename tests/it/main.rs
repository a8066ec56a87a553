//! One binary, so that all tests share one Postgres.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is a test that fails"
)]

mod api;
mod bench;
mod capture;
mod channels;
mod cli;
mod client;
mod delivery;
mod doorbell;
mod embedded;
mod grafana;
mod ingest;
mod process;
mod realtime;
mod sidecar;
mod sql;
mod support;
mod tail;
mod tidy;
