//! The whole schema as one readable file, so that a change of it is seen in a review.
//!
//! To write it anew after a migration: `UPDATE_SCHEMA=1 cargo test --test it sql::schema`. It is what `pg_dump` of PostgreSQL 15
//! says; another major version words some things differently, and there the comparison is skipped.

use std::path::Path;
use std::process::Command;

use crate::support::postgres::database;
use crate::support::skip::skipped;

/// Where the file lies.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sql/schema.sql");
/// The version whose words it has.
const MAJOR: i32 = 15;

#[tokio::test]
async fn the_schema_is_the_one_that_was_reviewed() {
    let database = database().await;
    let pool = database.pool().await;
    let version: i32 =
        sqlx::query_scalar("select current_setting('server_version_num')::integer / 10000")
            .fetch_one(&pool)
            .await
            .unwrap();
    let pg_dump = format!("/usr/lib/postgresql/{MAJOR}/bin/pg_dump");
    if version != MAJOR || !Path::new(&pg_dump).exists() {
        return skipped(&format!(
            "the schema is compared with pg_dump {MAJOR}, and here is PostgreSQL {version}"
        ));
    }
    let options = database.options();
    let host = options
        .get_socket()
        .map_or_else(|| options.get_host().into(), Clone::clone);
    let output = Command::new(pg_dump)
        .args(["--schema-only", "--no-owner", "--no-privileges", "--host"])
        .arg(host)
        .args([
            "--port",
            &options.get_port().to_string(),
            "--username",
            options.get_username(),
            options.get_database().unwrap(),
        ])
        .env("PGTZ", "UTC")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let dumped: String = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        // The versions, and words against injection that are new each time.
        .filter(|line| {
            !line.starts_with("-- Dumped ")
                && !line.starts_with("\\restrict")
                && !line.starts_with("\\unrestrict")
        })
        .fold(String::new(), |all, line| all + line + "\n");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        return std::fs::write(FILE, dumped).unwrap();
    }
    let reviewed = std::fs::read_to_string(FILE).unwrap();
    let differs = reviewed
        .lines()
        .zip(dumped.lines())
        .position(|(left, right)| left != right);
    assert!(
        reviewed == dumped,
        "the schema has changed, first at line {}; look at it and write it anew: UPDATE_SCHEMA=1 cargo test --test it sql::schema",
        differs.map_or(0, |line| line + 1)
    );
}
