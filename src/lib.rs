//! Postrider: from a commit in Postgres to a delivered webhook, with nothing lost.

pub mod app;
pub mod backoff;
pub mod causes;
pub mod channels;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod db;
pub mod delivery;
pub mod dialect;
pub mod http;
pub mod ingest;
pub mod lifecycle;
pub mod metrics;
pub mod model;
pub mod readiness;
pub mod roles;
pub mod source;
pub mod telemetry;
