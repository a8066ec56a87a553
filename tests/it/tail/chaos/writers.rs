//! Those who write, and who disturbs them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{Executor, PgConnection};
use tokio::time::{sleep, timeout};

use super::{Run, STUCK};

/// Writes until enough has been written, whatever breaks.
pub(super) async fn write(run: Arc<Run>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    while run.is_wanting() {
        let Some(mut connection) = run.connect().await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        while run.is_wanting() {
            let lazy = seed.is_multiple_of(2) || run.is(|run| &run.lazy);
            let writing = async {
                connection
                    .execute(if lazy {
                        "set synchronous_commit = off"
                    } else {
                        "set synchronous_commit = on"
                    })
                    .await?;
                if random.random_bool(0.3) {
                    in_bulk(&mut connection, &mut random).await
                } else {
                    in_transaction(&mut connection, &mut random, seed == 0).await
                }
            };
            match timeout(STUCK, writing).await {
                Ok(Ok(written)) => run.written.fetch_add(written, Ordering::Relaxed),
                _ => break,
            };
        }
    }
}

/// Many events by one statement.
async fn in_bulk(connection: &mut PgConnection, random: &mut StdRng) -> sqlx::Result<usize> {
    let many = random.random_range(1..200);
    sqlx::query("select postrider.emit_rows(array_fill('shop'::text, array[$1]), array_fill('bulk'::text, array[$1]), array_fill('{}'::json, array[$1]))")
        .bind(many)
        .execute(connection)
        .await?;
    Ok(usize::try_from(many).unwrap())
}

/// A few statements, some in savepoints, in a transaction that takes its time; answers with how many events it committed.
async fn in_transaction(
    connection: &mut PgConnection,
    random: &mut StdRng,
    may_be_long: bool,
) -> sqlx::Result<usize> {
    connection.execute("begin").await?;
    if random.random_bool(0.15) {
        connection.execute("select pg_current_xact_id()").await?;
        sleep(Duration::from_millis(random.random_range(0..20))).await;
    }
    let mut written = 0;
    for _ in 0..random.random_range(1..8) {
        let savepoint = random.random_bool(0.2);
        if savepoint {
            connection.execute("savepoint s").await?;
        }
        let statement = if random.random_bool(0.2) {
            "select postrider.emit('shop', 'keyed', '{}', gen_random_uuid()::text)"
        } else {
            "select postrider.emit('shop', 'single', '{}')"
        };
        connection.execute(statement).await?;
        if savepoint && random.random_bool(0.5) {
            connection.execute("rollback to s").await?;
        } else {
            written += 1;
        }
        if random.random_bool(0.3) {
            sleep(Duration::from_millis(random.random_range(0..10))).await;
        }
    }
    if may_be_long && random.random_bool(0.03) {
        sleep(Duration::from_secs(2)).await;
    }
    if random.random_bool(0.08) {
        connection.execute("rollback").await?;
        return Ok(0);
    }
    connection.execute("commit").await?;
    Ok(written)
}

/// Ends backends now and then.
pub(super) async fn terminate(run: Arc<Run>) {
    while !run.is(|run| &run.done) {
        sleep(Duration::from_millis(700)).await;
        if let Some(mut connection) = run.connect().await {
            let one = "select pg_terminate_backend(pid) from pg_stat_activity
                where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit 1";
            drop(timeout(STUCK, connection.execute(one)).await);
        }
    }
}
