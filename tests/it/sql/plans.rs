//! The hot statements use the indexes they are shaped to, under the settings of our own connections, whatever the planner knows.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use crate::support::app::TestApp;

/// Each statement of `sql/queue/`, with the number of its parameters and the index it reads the queue by.
const STATEMENTS: [(&str, &str, usize, &str); 6] = [
    (
        "claim",
        include_str!("../../../sql/queue/claim.sql"),
        9,
        "webhook_queue_due",
    ),
    (
        "complete",
        include_str!("../../../sql/queue/complete.sql"),
        11,
        "webhook_queue_pkey",
    ),
    (
        "extend",
        include_str!("../../../sql/queue/extend.sql"),
        3,
        "webhook_queue_pkey",
    ),
    (
        "hold",
        include_str!("../../../sql/queue/hold.sql"),
        3,
        "webhook_queue_due",
    ),
    (
        "release",
        include_str!("../../../sql/queue/release.sql"),
        2,
        "webhook_queue_due",
    ),
    (
        "return",
        include_str!("../../../sql/queue/return.sql"),
        4,
        "webhook_queue_pkey",
    ),
];

/// As `db::pool` sets them.
const SETTINGS: &str =
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off";

/// The plan of a statement, as text.
async fn plan(
    connection: &mut PgConnection,
    name: &str,
    statement: &str,
    parameters: usize,
) -> String {
    let nulls = vec!["null"; parameters].join(", ");
    connection
        .execute(AssertSqlSafe(format!("prepare \"{name}\" as {statement}")))
        .await
        .unwrap();
    let explained = connection
        .fetch_all(sqlx::raw_sql(AssertSqlSafe(format!(
            "explain (costs off) execute \"{name}\"({nulls})"
        ))))
        .await
        .unwrap();
    let lines: Vec<String> = explained.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// Asserts what is true of every one of them.
async fn assert_plans(app: &TestApp) {
    let mut connection = PgConnection::connect_with(&app.options()).await.unwrap();
    connection.execute(SETTINGS).await.unwrap();
    for (name, statement, parameters, index) in STATEMENTS {
        // As it is run.
        let bitmaps = if name == "hold" { "off" } else { "on" };
        connection
            .execute(AssertSqlSafe(format!("set enable_bitmapscan = {bitmaps}")))
            .await
            .unwrap();
        let first = statement.lines().next().unwrap();
        assert!(
            first.starts_with(&format!("-- queue.{name}: ")),
            "the first line names the statement: {first}"
        );
        let plan = plan(&mut connection, name, statement, parameters).await;
        assert!(
            plan.contains(&format!(" {index}")),
            "{name} does not use {index}:\n{plan}"
        );
        assert!(
            !plan.contains("Seq Scan on webhook_queue"),
            "{name} reads the whole queue:\n{plan}"
        );
        // What is found by the lane comes in the order of the index; the rest is looked up by id.
        for (line, next) in plan.lines().zip(plan.lines().skip(1)) {
            let by_lane = line.contains("using webhook_queue_due ");
            assert!(
                !by_lane
                    || (next.contains("Index Cond: ((lane = ")
                        || next.contains("Index Cond: (((lane)::smallint = ")),
                "{name} reads the whole of the index:\n{plan}"
            );
        }
        if matches!(name, "claim" | "complete") {
            assert!(
                plan.contains("Tid Scan on webhook_queue"),
                "{name} looks rows up once more that it has found:\n{plan}"
            );
        }
        if matches!(name, "claim" | "hold") {
            // A claim adds up at its end how far it has read; before that the index has everything in order.
            let looking = plan.split("LockRows").next().unwrap();
            assert!(
                !looking.contains("Sort"),
                "{name} sorts what the index has in order:\n{plan}"
            );
        }
    }
}

/// Rows enough for a planner to think about.
async fn filled() -> TestApp {
    let app = TestApp::start().await;
    app.sql(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, status)
         select 'shop', 'http://x/' || number % 200, '{}', 't', case when number % 3 = 0 then 'pending' else 'delivered' end
         from generate_series(1, 20000) as number",
    )
    .await;
    app
}

#[tokio::test]
async fn hot_statements_use_their_indexes_on_an_empty_queue() {
    assert_plans(&TestApp::start().await).await;
}

#[tokio::test]
async fn hot_statements_use_their_indexes_with_statistics() {
    let app = filled().await;
    app.sql("analyze postrider.webhook_queue").await;
    assert_plans(&app).await;
}

#[tokio::test]
async fn hot_statements_use_their_indexes_after_the_statistics_are_deleted() {
    let app = filled().await;
    app.sql("analyze postrider.webhook_queue").await;
    app.sql("delete from pg_statistic where starelid in ('postrider.webhook_queue'::regclass, 'postrider.endpoints'::regclass)").await;
    app.sql("update pg_class set reltuples = -1, relpages = 0 where oid in ('postrider.webhook_queue'::regclass, 'postrider.webhook_queue_due'::regclass)").await;
    assert_plans(&app).await;
}

#[tokio::test]
async fn a_claim_is_a_hot_update() {
    let app = filled().await;
    app.sql("vacuum postrider.webhook_queue").await;
    let claim = "update postrider.webhook_queue set lease_token = 1, lease_until = now() where status = 'pending' and id <= 3000";
    let hot = "select pg_stat_get_xact_tuples_hot_updated('postrider.webhook_queue'::regclass)::double precision / pg_stat_get_xact_tuples_updated('postrider.webhook_queue'::regclass)";
    let mut transaction = app.pool().begin().await.unwrap();
    transaction.execute(claim).await.unwrap();
    let share: f64 = sqlx::query_scalar(hot)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert!(share > 0.99, "{share} of the updates were HOT");
}
