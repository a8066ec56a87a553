//! The database: the only place that names sqlx or holds SQL.

pub mod doorbell;
pub mod embedded;
