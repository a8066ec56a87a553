//! What one step reads, and what it costs.

use postrider::db::tail::Tail;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::support::app::TestApp;
use crate::support::postgres::{OwnCluster, database};
use crate::support::wait::{PATIENCE, scaled, until};

/// The events of all steps that have something now.
pub(super) async fn read_all(tail: &mut Tail) -> Vec<i64> {
    let mut ids = Vec::new();
    loop {
        let step = tail.step().await.unwrap();
        assert!(!step.gap);
        let empty = step.events.is_empty();
        ids.extend(step.events.into_iter().map(|event| event.id));
        if empty {
            return ids;
        }
    }
}

/// Emits one event on a connection.
pub(super) async fn emit(connection: &mut PgConnection) -> i64 {
    let id: String = sqlx::query_scalar("select postrider.emit('shop', 'order.paid', '{}')")
        .fetch_one(connection)
        .await
        .unwrap();
    id.split('_').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_event_that_commits_late_comes_when_it_commits_and_once() {
    let app = TestApp::start().await;
    let mut tail = Tail::new(app.options());
    assert_eq!(read_all(&mut tail).await, [0; 0]);
    let mut slow = PgConnection::connect_with(&app.options()).await.unwrap();
    let mut quick = PgConnection::connect_with(&app.options()).await.unwrap();
    slow.execute("begin").await.unwrap();
    let first = emit(&mut slow).await;
    slow.execute("savepoint within").await.unwrap();
    let second = emit(&mut slow).await;
    slow.execute("release within").await.unwrap();
    let overtaking = emit(&mut quick).await;
    assert!(overtaking > second);
    assert_eq!(read_all(&mut tail).await, [overtaking]);
    slow.execute("commit").await.unwrap();
    assert_eq!(read_all(&mut tail).await, [first, second]);
    quick.execute("begin").await.unwrap();
    emit(&mut quick).await;
    quick.execute("rollback").await.unwrap();
    assert_eq!(read_all(&mut tail).await, [0; 0]);
}

#[tokio::test]
async fn a_large_transaction_comes_in_pages_and_whole() {
    let app = TestApp::start().await;
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let emitted: Vec<String> = app
        .value("select postrider.emit_rows(array_fill('shop'::text, '{2000}'), array_fill('t'::text, '{2000}'), array_fill('{}'::json, '{2000}'))")
        .await;
    let step = tail.step().await.unwrap();
    assert!(
        step.more && step.events.len() < 1000,
        "{}",
        step.events.len()
    );
    let between = tail.position().unwrap();
    assert_eq!(between.id, step.events.last().unwrap().id);
    // What commits meanwhile comes after it.
    let mut other = PgConnection::connect_with(&app.options()).await.unwrap();
    let later = emit(&mut other).await;
    let rest = read_all(&mut tail).await;
    assert_eq!(step.events.len() + rest.len(), emitted.len() + 1);
    assert_eq!(rest.last(), Some(&later));
}

#[tokio::test]
async fn large_payloads_end_a_page_before_they_fill_the_memory() {
    let app = TestApp::start().await;
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    // Random, so that it is not stored compressed.
    app.sql(
        "select postrider.emit('shop', 'big', (select to_json(string_agg(md5(random()::text), '')) from generate_series(1, 60000)))
         from generate_series(1, 10)",
    )
    .await;
    let step = tail.step().await.unwrap();
    assert!(step.more && step.events.len() < 8, "{}", step.events.len());
    assert_eq!(step.events.len() + read_all(&mut tail).await.len(), 10);
}

#[tokio::test]
async fn an_xid_is_assigned_before_an_id_is_drawn() {
    let app = TestApp::start().await;
    let mut connection = PgConnection::connect_with(&app.options()).await.unwrap();
    for insert in [
        "insert into postrider.events (instance_id, type, data) values (1, 't', '{}')",
        "insert into postrider.events (instance_id, type, data) select 1, 't', '{}' from pg_class",
    ] {
        let explain = AssertSqlSafe(format!("explain (verbose) {insert}"));
        let lines = connection.fetch_all(sqlx::raw_sql(explain)).await.unwrap();
        let plan: String = lines.iter().map(|row| row.get::<String, _>(0)).collect();
        let xid = plan.find("pg_current_xact_id()");
        assert!(xid.is_some() && xid < plan.find("nextval("), "{plan}");
    }
    // Whoever draws ids by hand.
    let bodies: Vec<(String, String)> = sqlx::query_as(
        "select proname::text, prosrc from pg_proc where pronamespace = 'postrider'::regnamespace and prosrc like '%events_id_seq%'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let draws = bodies.iter().filter(|(_, body)| body.contains("nextval"));
    let mut seen = 0;
    for (name, body) in draws {
        seen += 1;
        for (at, _) in body.match_indices("nextval(") {
            assert!(
                body[..at].contains("pg_current_xact_id()"),
                "{name} draws an id before it has an xid"
            );
        }
    }
    assert!(seen >= 2);
}

#[tokio::test]
async fn rows_behind_an_open_transaction_cost_a_step_nothing() {
    // A server of its own: transactions of other databases count as well when they end.
    let mut cluster = OwnCluster::start().await;
    let app = TestApp::over(&cluster.database().await).await;
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let mut open = PgConnection::connect_with(&app.options()).await.unwrap();
    open.execute("begin").await.unwrap();
    let held = emit(&mut open).await;
    let rows = scaled(50_000);
    for _ in 0..10 {
        app.sql(&format!(
            "insert into postrider.events (instance_id, type, data) select 1, 't', '{{}}' from generate_series(1, {})",
            rows / 10
        ))
        .await;
        // A few steps between, as there would be, so that there are marks.
        assert_eq!(read_all(&mut tail).await.len(), rows / 10);
    }
    let cost = async |app: &TestApp| -> i64 {
        app.value(
            "select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes
             where indexrelid = 'postrider.events_pkey'::regclass",
        )
        .await
    };
    // Postgres writes down what a session read once a second, when it has ended a statement.
    let written_down = async |tail: &mut Tail| {
        let (before, mut steps) = (cost(&app).await, 0);
        let mut after = before;
        until("statistics are written", PATIENCE, async || {
            assert!(tail.step().await.unwrap().events.is_empty());
            steps += 1;
            after = cost(&app).await;
            after != before
        })
        .await;
        (after - before, steps)
    };
    written_down(&mut tail).await;
    let (read, steps) = written_down(&mut tail).await;
    // Up to 33 ids are looked at again, whatever there is.
    assert!(read < 50 * steps, "{steps} steps read {read} entries");
    open.execute("commit").await.unwrap();
    assert_eq!(read_all(&mut tail).await, [held]);
    drop((app, tail, open));
    cluster.stop().await;
}

#[tokio::test]
async fn a_lost_connection_costs_nothing_but_time() {
    let app = TestApp::start().await;
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let mut writer = PgConnection::connect_with(&app.options()).await.unwrap();
    let first = emit(&mut writer).await;
    app.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postrider tail' and datname = current_database()").await;
    let second = emit(&mut writer).await;
    until("the tail has a connection again", PATIENCE, async || {
        tail.step().await.is_err()
    })
    .await;
    // The failed step was none; depending on when the end came, so were all before.
    assert_eq!(read_all(&mut tail).await, [first, second]);
}

#[tokio::test]
async fn a_sequence_that_draws_ahead_is_refused_with_the_remedy() {
    let app = TestApp::start().await;
    app.sql("alter sequence postrider.events_id_seq cache 20")
        .await;
    let error = Tail::new(app.options())
        .step()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("alter sequence postrider.events_id_seq cache 1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_log_restored_from_another_cluster_is_taken_over() {
    let source = database().await;
    let app = TestApp::over(&source).await;
    let mut tail = Tail::new(app.options());
    read_all(&mut tail).await;
    let old_cursor = tail.position().unwrap();
    app.sql("insert into postrider.events (xid, snap, instance_id, type, data) select '9000000000', '8999999999:9000000001:', 1, 't', '{}' from generate_series(1, 10)").await;
    app.sql("update postrider.tail_home set system_identifier = '1'")
        .await;
    let mut tail = Tail::new(app.options());
    assert_eq!(
        read_all(&mut tail).await,
        [0; 0],
        "what was restored is not new"
    );
    let foreign: i64 = app
        .value("select count(*) from postrider.events where xid <> '3'")
        .await;
    assert_eq!(foreign, 0);
    let mut writer = PgConnection::connect_with(&app.options()).await.unwrap();
    let fresh = emit(&mut writer).await;
    assert_eq!(read_all(&mut tail).await, [fresh]);
    assert_eq!(tail.position().unwrap().epoch, old_cursor.epoch);
}
