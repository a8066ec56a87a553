//! One binary, so that all tests share one Postgres.
