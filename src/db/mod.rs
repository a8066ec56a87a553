//! The database: the only place that names sqlx or holds SQL.

pub mod administration;
pub mod bench;
pub mod connections;
pub mod consumers;
pub mod demo;
pub mod doctor;
pub mod doorbell;
pub mod duties;
pub mod embedded;
pub mod endpoints;
mod error;
mod evolution_sockets;
mod health;
pub mod ingest;
pub mod installation;
mod limits;
mod maintenance;
pub mod migrate;
mod minutes;
pub mod notices;
mod pool;
pub mod queue;
mod route;
mod sealing;
mod statements;
pub mod subscriptions;
pub mod tail;

pub use error::{Error, answered};
pub use maintenance::{Depth, TableHealth};
pub use minutes::Minutes;
pub use pool::{Database, Purpose};
pub use route::{Line, Route};
pub use sealing::Resealed;
pub use sqlx::postgres::PgConnectOptions as ConnectOptions;
