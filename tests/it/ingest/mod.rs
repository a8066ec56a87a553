//! NOTIFY becomes events: all of them once, whoever reads.

use std::sync::Arc;
use std::time::Duration;

use postrider::db::notices::NoticeSource;
use postrider::db::{Database, Purpose};
use postrider::ingest::Ingest;
use postrider::metrics::Metrics;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::postgres::TestDatabase;

/// What all tests wait for, at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// One process with the ingest role.
#[derive(Debug)]
struct Role {
    /// Ends it in order.
    stop: CancellationToken,
    /// Dropping it kills it.
    tasks: JoinSet<()>,
}

impl Role {
    /// Starts one.
    fn start(database: &TestDatabase, holder: &str) -> Role {
        let (metrics, _exporter) = Metrics::new();
        let source = NoticeSource::new(database.options(), "postrider_emit");
        let pool = Database::open(database.options(), Purpose::Ingest, 2);
        let ingest = Ingest::new(pool, source, Arc::new(metrics), holder);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(ingest.run(stop.clone()));
        Role { stop, tasks }
    }

    /// Ends it in order.
    async fn stop(mut self) {
        self.stop.cancel();
        self.tasks.join_next().await.unwrap().unwrap();
    }
}

/// A database with the instance `me`.
async fn database() -> (TestDatabase, PgConnection) {
    let database = crate::support::postgres::database().await;
    let mut connection = database.connection().await;
    run(&mut connection, "select postrider.create_instance('me')").await;
    (database, connection)
}

/// A statement without a result.
async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

/// A count.
async fn count(connection: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Waits until a statement counts so many.
async fn counts(connection: &mut PgConnection, statement: &'static str, expected: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let present = count(connection, statement).await;
        if present == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{present}, not {expected}: {statement}"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_notification_may_name_the_sender_of_its_event() {
    let (database, mut connection) = database().await;
    let role = Role::start(&database, "one");
    listening(&mut connection, 1).await;
    for sender in [r#","sender":"one@x""#, "", r#","sender":null"#] {
        let payload = format!(r#"{{"instance":"me","type":"said","data":{{}}{sender}}}"#);
        say(&mut connection, &payload).await;
    }
    counts(
        &mut connection,
        "select count(*) from postrider.events where type = 'said'",
        3,
    )
    .await;
    counts(
        &mut connection,
        "select count(*) from postrider.event_senders where sender = 'one@x'",
        1,
    )
    .await;
    counts(
        &mut connection,
        "select count(*) from postrider.event_senders",
        1,
    )
    .await;
    role.stop().await;
}

/// Says something.
async fn say(connection: &mut PgConnection, payload: &str) {
    sqlx::query("select pg_notify('postrider_emit', $1)")
        .bind(payload)
        .execute(connection)
        .await
        .unwrap();
}

/// Says the `n`th of a series.
async fn say_nth(connection: &mut PgConnection, n: i64) {
    say(
        connection,
        &format!(r#"{{"instance":"me","type":"n.said","data":{n}}}"#),
    )
    .await;
}

/// Waits until so many of a series are events, and asserts that each is one once.
async fn all_once(connection: &mut PgConnection, expected: i64) {
    counts(
        connection,
        "select count(distinct data::text) from postrider.events where type = 'n.said'",
        expected,
    )
    .await;
    let all = count(
        connection,
        "select count(*) from postrider.events where type = 'n.said'",
    )
    .await;
    assert_eq!(all, expected, "some came twice");
}

/// Waits until a process holds the duty.
async fn held_by(connection: &mut PgConnection, holder: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let present: Option<String> = sqlx::query_scalar("select holder from postrider.duties")
            .fetch_optional(&mut *connection)
            .await
            .unwrap();
        if present.as_deref() == Some(holder) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "held by {present:?}, not by {holder}"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many processes listen.
async fn listening(connection: &mut PgConnection, expected: i64) {
    counts(
        connection,
        "select count(*) from pg_stat_activity where application_name = 'postrider ingest listener'
         and datname = current_database() and query = 'select 1'",
        expected,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_becomes_an_event() {
    let (database, mut connection) = database().await;
    let _role = Role::start(&database, "only");
    held_by(&mut connection, "only").await;
    let payload =
        r#"{"instance":"me","type":"order.paid","data":{ "a" : 1.50 },"idempotency_key":"k"}"#;
    say(&mut connection, payload).await;
    // In a transaction of its own, so it is another notification; but the same key.
    say(&mut connection, payload).await;
    say_nth(&mut connection, 1).await;
    all_once(&mut connection, 1).await;
    let data: Vec<String> =
        sqlx::query_scalar("select data::text from postrider.events where type = 'order.paid'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(data, [r#"{ "a" : 1.50 }"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_an_event_is_kept_and_disturbs_no_other() {
    let (database, mut connection) = database().await;
    let _role = Role::start(&database, "only");
    held_by(&mut connection, "only").await;
    run(&mut connection, "begin").await;
    let mut n = 0;
    for bad in [
        "",
        "hello",
        r#"{"instance":"me","type":"t"}"#,
        r#"{"instance":"nobody","type":"t","data":{}}"#,
        r#"{"instance":"me","type":"a type","data":{}}"#,
        r#"{"instance":"m\u0000e","type":"t","data":{}}"#,
        r#"{"instance":"me","type":"t\u0000","data":{}}"#,
    ] {
        for _ in 0..20 {
            n += 1;
            say_nth(&mut connection, n).await;
        }
        say(&mut connection, bad).await;
    }
    run(&mut connection, "commit").await;
    all_once(&mut connection, n).await;
    let rejected: Vec<(String, String)> =
        sqlx::query_as("select payload, error from postrider.rejected_notifications order by id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let expected = [
        ("", "EOF"),
        ("hello", "expected value"),
        (r#"{"instance":"me","type":"t"}"#, "missing field `data`"),
        (
            r#"{"instance":"nobody","type":"t","data":{}}"#,
            "no instance 'nobody'",
        ),
        (
            r#"{"instance":"me","type":"a type","data":{}}"#,
            "is not a name",
        ),
        (r#"{"instance":"m\u0000e","type":"t","data":{}}"#, "0x00"),
        (r#"{"instance":"me","type":"t\u0000","data":{}}"#, "0x00"),
    ];
    assert_eq!(rejected.len(), expected.len(), "{rejected:?}");
    for ((payload, error), (expected_payload, expected_error)) in rejected.iter().zip(expected) {
        assert_eq!(payload, expected_payload);
        assert!(error.contains(expected_error), "{payload}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_without_loss_or_repetition() {
    let (database, mut connection) = database().await;
    let mut holder = Role::start(&database, "role-0");
    held_by(&mut connection, "role-0").await;
    let mut said = 0;
    for turn in 1..=4 {
        let standby = Role::start(&database, &format!("role-{turn}"));
        listening(&mut connection, 2).await;
        // A standby that has just begun is in step once nothing is left to do.
        all_once(&mut connection, said).await;
        for _ in 0..300 {
            said += 1;
            say_nth(&mut connection, said).await;
        }
        if turn % 2 == 0 {
            holder.stop().await;
        } else {
            // In the middle of whatever it does, without a word.
            drop(holder);
        }
        for _ in 0..300 {
            said += 1;
            say_nth(&mut connection, said).await;
        }
        held_by(&mut connection, &format!("role-{turn}")).await;
        all_once(&mut connection, said).await;
        holder = standby;
    }
}
