//! The queue's depth without counting: exact, whatever happens beside it.

use postrider::db::{Database, Purpose};
use rand::RngExt as _;

use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

/// What maintenance does every two seconds.
const LOOK: &str = "select postrider.add_up_queue_depth(); select postrider.look_for_oldest_due(); select postrider.look_through_lane()";

/// As after hours behind an open transaction: lanes take so long to look through that it is left for later.
const BUSY: &str =
    "update postrider.queue_depth_snapshot set owed = '1 hour', slow_looks = 4, looked_at = now()";

/// Looks until a statement says so: a busy machine may take several turns.
async fn look_until(app: &TestApp, holds: &str) {
    until(holds, PATIENCE, async || {
        app.sql(LOOK).await;
        app.value::<bool>(holds).await
    })
    .await;
}

/// Whether the oldest due delivery is that many hours old.
fn oldest(hours: u32) -> String {
    format!(
        "select coalesce(round(extract(epoch from at - oldest_due_at) / 3600) = {hours}, false) from postrider.queue_depth_snapshot"
    )
}

/// The engine's own connection.
fn maintainer(app: &TestApp) -> Database {
    Database::open(app.options(), Purpose::Worker, 1)
}

/// Statements that change the depth, each in its way.
const CHANGES: [&str; 9] = [
    "insert into postrider.webhook_queue (instance_name, url, payload, event_type) select 'shop', 'http://x', '', 't' from generate_series(1, 5)",
    "delete from postrider.webhook_queue where id in (select id from postrider.webhook_queue order by random() limit 2 for update skip locked)",
    "update postrider.webhook_queue set status = 'failed' where id in (select id from postrider.webhook_queue where status = 'pending' order by random() limit 3 for update skip locked)",
    "update postrider.webhook_queue set status = 'pending' where id in (select id from postrider.webhook_queue where status <> 'pending' order by random() limit 2 for update skip locked)",
    "update postrider.webhook_queue set status = 'delivered' where id in (select id from postrider.webhook_queue where status = 'failed' order by random() limit 1 for update skip locked)",
    "update postrider.webhook_queue set last_error = 'touched' where id in (select id from postrider.webhook_queue order by random() limit 3 for update skip locked)",
    "select postrider.emit('shop', 'order.paid', '{}')",
    "delete from postrider.events where id in (select id from postrider.events order by id desc limit 3 for update skip locked)",
    "select postrider.add_up_queue_depth()",
];

/// One event, for all endpoints.
const EMIT: &str = CHANGES[6];

/// What brings the depth up to date.
const ADD_UP: &str = CHANGES[CHANGES.len() - 1];

/// Three endpoints that want every event.
const ENDPOINTS: &str = "select postrider.set_endpoint('shop', 'http://127.0.0.1:9/', label => 'e' || n) from generate_series(1, 3) n";

#[tokio::test]
async fn depth_is_exact_under_concurrent_writers_rollbacks_and_savepoints() {
    let app = TestApp::start().await;
    app.sql(ENDPOINTS).await;
    let writers = (0..6).map(|_| async {
        let mut connection = app.pool().acquire().await.unwrap();
        for _ in 0..60 {
            let mut statements = vec!["begin"];
            for _ in 0..rand::rng().random_range(1..4) {
                let change = CHANGES[rand::rng().random_range(0..CHANGES.len() - 1)];
                match rand::rng().random_range(0..3) {
                    0 => statements.extend(["savepoint s", change, "rollback to s"]),
                    1 => statements.extend(["savepoint s", change, "release s"]),
                    _ => statements.push(change),
                }
            }
            statements.push(if rand::rng().random_bool(0.2) {
                "rollback"
            } else {
                "commit"
            });
            for statement in statements {
                sqlx::raw_sql(statement)
                    .execute(&mut *connection)
                    .await
                    .unwrap();
            }
        }
    });
    let adding_up = async {
        for _ in 0..200 {
            app.sql(ADD_UP).await;
        }
    };
    tokio::join!(
        futures_util::future::join_all(writers),
        adding_up,
        adding_up_too(&app)
    );
    app.assert_depth_is_exact().await;
}

/// A second process at the same duty.
async fn adding_up_too(app: &TestApp) {
    for _ in 0..200 {
        app.sql(ADD_UP).await;
    }
}

#[tokio::test]
async fn depth_counts_a_transaction_that_was_open_for_long_once_it_commits() {
    let app = TestApp::start().await;
    app.sql(ENDPOINTS).await;
    let mut long = app.pool().begin().await.unwrap();
    sqlx::query(CHANGES[0]).execute(&mut *long).await.unwrap();
    sqlx::query(EMIT).execute(&mut *long).await.unwrap();
    for _ in 0..10 {
        app.sql(CHANGES[0]).await;
        app.sql(EMIT).await;
        app.sql(ADD_UP).await;
    }
    app.assert_depth_is_exact().await;
    long.commit().await.unwrap();
    app.assert_depth_is_exact().await;
    assert_eq!(app.count("pending").await, 88);
}

#[tokio::test]
async fn depth_does_not_depend_on_the_event_log() {
    let app = TestApp::start().await;
    app.sql(ENDPOINTS).await;
    for statements in [
        &[EMIT, "delete from postrider.events"][..],
        &["begin", EMIT, "delete from postrider.events", "commit"],
        &[EMIT, "begin", "delete from postrider.events", "rollback"],
        &[EMIT, ADD_UP, "delete from postrider.events"],
        &[EMIT, "truncate postrider.events"],
        &["begin", EMIT, "truncate postrider.events", "commit"],
        &[EMIT, "begin", "truncate postrider.events", "rollback"],
        &[EMIT, "truncate postrider.webhook_queue"],
        &[
            "begin",
            EMIT,
            "truncate postrider.webhook_queue",
            EMIT,
            "commit",
        ],
        &[
            "begin",
            EMIT,
            "truncate postrider.webhook_queue",
            "rollback",
        ],
        &[EMIT, "truncate postrider.events, postrider.webhook_queue"],
        &[EMIT, "select postrider.recount_queue()", EMIT],
    ] {
        let mut connection = app.pool().acquire().await.unwrap();
        for statement in statements {
            sqlx::raw_sql(*statement)
                .execute(&mut *connection)
                .await
                .unwrap();
        }
        app.assert_depth_is_exact().await;
    }
}

#[tokio::test]
async fn truncate_leaves_no_depth_and_a_recount_mends_what_went_round_the_triggers() {
    let app = TestApp::start().await;
    app.sql(CHANGES[0]).await;
    app.sql("truncate postrider.webhook_queue").await;
    app.assert_depth_is_exact().await;
    app.sql(CHANGES[0]).await;
    app.sql("alter table postrider.webhook_queue disable trigger user")
        .await;
    app.sql("insert into postrider.webhook_queue (instance_name, url, payload, event_type, target, lane) select 'shop', 'http://x', '', 't', -1, 0 from generate_series(1, 5)").await;
    app.sql("alter table postrider.webhook_queue enable trigger user")
        .await;
    app.sql("select postrider.recount_queue()").await;
    assert_eq!(app.count("pending").await, 10);
    app.assert_depth_is_exact().await;
}

#[tokio::test]
async fn a_transaction_that_counts_anew_may_have_queued_before_and_go_on() {
    let app = TestApp::start().await;
    app.sql(ENDPOINTS).await;
    for others in 0..3 {
        let mut counting = app.pool().begin().await.unwrap();
        for statement in [EMIT, "select postrider.recount_queue()", EMIT] {
            // Later ones that end earlier.
            for _ in 0..others {
                app.sql("select pg_current_xact_id()").await;
            }
            sqlx::raw_sql(statement)
                .execute(&mut *counting)
                .await
                .unwrap();
        }
        counting.commit().await.unwrap();
        app.assert_depth_is_exact().await;
    }
}

#[tokio::test]
async fn what_waits_for_an_endpoint_that_is_paused_or_does_not_answer_is_not_late() {
    let app = TestApp::start().await;
    let paused = app.endpoint("paused").create().await;
    let failing = app.endpoint("failing").create().await;
    let healthy = app.endpoint("healthy").create().await;
    app.emit_many(1).await;
    for (endpoint, hours) in [(&paused, 3), (&failing, 2), (&healthy, 1)] {
        app.sql(&format!(
            "update postrider.webhook_queue set next_retry_at = now() - interval '{hours} hours' where endpoint_id = {}",
            endpoint.id
        ))
        .await;
    }
    look_until(&app, &oldest(3)).await;
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'paused')",
        paused.id
    ))
    .await;
    app.sql(&format!(
        "insert into postrider.endpoint_health (endpoint_id, failing_since) values ({}, now())",
        failing.id
    ))
    .await;
    look_until(&app, &oldest(1)).await;
    app.sql(&format!(
        "select postrider.set_endpoint_state({}, 'disabled')",
        healthy.id
    ))
    .await;
    look_until(
        &app,
        "select oldest_due_at is null from postrider.queue_depth_snapshot",
    )
    .await;
}

#[tokio::test]
async fn where_it_takes_long_to_look_for_the_oldest_delivery_most_looks_begin_where_the_last_one_found_something()
 {
    let app = TestApp::start().await;
    app.endpoint("shop").create().await;
    let late = |hours: i32| {
        format!(
            "update postrider.webhook_queue set next_retry_at = now() - interval '{hours} hours'
             where id = (select max(id) from postrider.webhook_queue)"
        )
    };
    for hours in [2, 1] {
        app.emit_many(1).await;
        app.sql(&late(hours)).await;
    }
    look_until(&app, &oldest(2)).await;
    app.sql(BUSY).await;
    app.sql(
        "delete from postrider.webhook_queue where next_retry_at < now() - interval '90 minutes'",
    )
    .await;
    look_until(&app, &oldest(1)).await;
    app.emit_many(1).await;
    app.sql(&late(3)).await;
    look_until(&app, &oldest(3)).await;
    // What nobody tells of is found in its turn.
    app.sql(&format!(
        "alter table postrider.webhook_queue disable trigger user; {}; alter table postrider.webhook_queue enable trigger user",
        late(4)
    ))
    .await;
    app.sql(LOOK).await;
    assert!(!app.value::<bool>(&oldest(4)).await, "not yet");
    app.sql("update postrider.queue_depth_snapshot set owed = '0'")
        .await;
    look_until(&app, &oldest(4)).await;
}

#[tokio::test]
async fn where_sweeps_begin_late_nothing_is_hidden_that_was_held_or_committed_late_or_was_moved_by_hand()
 {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let lane: i16 = app.value("select lane from postrider.endpoints").await;
    let floor = |of: i16, condition: &str| {
        format!("select due_from[{of} + 1] {condition} from postrider.queue_depth_snapshot")
    };
    let recent = floor(lane, "between now() - interval '1 minute' and now()");
    let hours_ago = floor(lane, "< now() - interval '170 minutes'");
    app.sql(BUSY).await;
    look_until(&app, &recent).await;
    // Written by hand, long due.
    let by_hand = format!(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, endpoint_id, next_retry_at)
         values ('shop', 'http://127.0.0.1:9/', '{{}}', 'order.paid', {}, now() - interval '3 hours')",
        endpoint.id
    );
    app.sql(&by_hand).await;
    look_until(&app, &hours_ago).await;
    // Held by a worker that may die over it.
    app.sql("update postrider.webhook_queue set lease_token = 1, lease_until = now() + interval '1 minute'")
        .await;
    app.sql(LOOK).await;
    assert!(app.value::<bool>(&hours_ago).await);
    app.sql("delete from postrider.webhook_queue").await;
    look_until(&app, &recent).await;
    // Of a transaction that began long ago.
    let mut slow = app.pool().begin().await.unwrap();
    sqlx::query("select postrider.emit('shop', 'order.paid', '{}'::json)")
        .execute(&mut *slow)
        .await
        .unwrap();
    let due: String = sqlx::query_scalar("select now()::text")
        .fetch_one(&mut *slow)
        .await
        .unwrap();
    let passed_it = format!("> '{due}'");
    let comes_to_it = format!("<= '{due}'");
    look_until(&app, &floor(lane, &passed_it)).await;
    slow.commit().await.unwrap();
    look_until(&app, &floor(lane, &comes_to_it)).await;
    // Put off, and set back by hand.
    let put_off = "update postrider.webhook_queue set next_retry_at = now() + interval '1 hour'";
    app.sql(put_off).await;
    look_until(&app, &floor(lane, &passed_it)).await;
    app.sql(&format!(
        "update postrider.webhook_queue set next_retry_at = '{due}'"
    ))
    .await;
    look_until(&app, &floor(lane, &comes_to_it)).await;
    // Moved to another lane by hand.
    app.sql(
        "update postrider.webhook_queue set endpoint_id = null, url = 'http://127.0.0.1:9/other'",
    )
    .await;
    let new_lane: i16 = app.value("select lane from postrider.webhook_queue").await;
    assert_ne!(new_lane, lane);
    look_until(&app, &floor(new_lane, &comes_to_it)).await;
    // Nobody has looked of late: then sweeps begin at the beginnings.
    assert!(maintainer(&app).sweep_floors().await.unwrap().is_some());
    app.sql("update postrider.queue_depth_snapshot set looked_at = now() - interval '3 minutes'")
        .await;
    assert_eq!(maintainer(&app).sweep_floors().await.unwrap(), None);
}

#[tokio::test]
async fn that_beginnings_are_slow_to_look_at_is_noticed_and_so_is_it_when_they_no_longer_are() {
    let app = TestApp::start().await;
    app.endpoint("shop").create().await;
    let mut held = app.pool().begin().await.unwrap();
    sqlx::raw_sql("set transaction isolation level repeatable read; select pg_current_xact_id()")
        .execute(&mut *held)
        .await
        .unwrap();
    app.sql("alter table postrider.webhook_queue disable trigger user")
        .await;
    app.sql(
        "insert into postrider.webhook_queue (instance_name, url, payload, event_type, endpoint_id, target, lane, next_retry_at)
         select 'shop', 'http://x', '{}', 'order.paid', id, id, lane, now() - interval '1 hour' from postrider.endpoints, generate_series(1, 150000)",
    )
    .await;
    app.sql("update postrider.webhook_queue set status = 'delivered'")
        .await;
    app.sql("alter table postrider.webhook_queue enable trigger user")
        .await;
    let database = maintainer(&app);
    let floors = async || {
        // Time passes, and nobody owes any.
        app.sql("update postrider.queue_depth_snapshot set owed = '0'")
            .await;
        database.look_for_oldest_due().await.unwrap();
        database.sweep_floors().await.unwrap()
    };
    until("they are slow", PATIENCE, async || floors().await.is_some()).await;
    held.rollback().await.unwrap();
    app.sql("vacuum postrider.webhook_queue").await;
    until("they are not", PATIENCE, async || floors().await.is_none()).await;
}

#[tokio::test]
async fn a_backlog_of_an_endpoint_that_does_not_answer_hides_no_late_delivery_of_another_in_its_lane()
 {
    let app = TestApp::start().await;
    let failing = app.endpoint("failing").create().await;
    let healthy = app.endpoint("healthy").create().await;
    app.emit_many(500).await;
    app.sql(&format!(
        "insert into postrider.endpoint_health (endpoint_id, failing_since) values ({}, now())",
        failing.id
    ))
    .await;
    // Both in one lane, each with a delivery a minute, since five hours ago. What is said of the healthy one is where it was looked.
    app.sql("alter table postrider.webhook_queue disable trigger user")
        .await;
    app.sql(
        "update postrider.webhook_queue queue set lane = 7, next_retry_at = now() - interval '5 hours' + interval '1 minute' * late.minutes
         from (select id, row_number() over (partition by endpoint_id order by id) as minutes from postrider.webhook_queue) late
         where late.id = queue.id",
    )
    .await;
    app.sql("alter table postrider.webhook_queue enable trigger user")
        .await;
    let delivered_before = |minutes: i32| {
        format!(
            "delete from postrider.webhook_queue where endpoint_id = {} and next_retry_at < now() - interval '{minutes} minutes'",
            healthy.id
        )
    };
    for (oldest, said) in [(295, 295), (240, 60), (30, 10), (8, 8)] {
        // Two minutes are what the statements may take.
        app.sql(&delivered_before(oldest)).await;
        look_until(&app, &format!(
            "select coalesce(round(extract(epoch from at - oldest_due_at) / 60), -1) between {said} - 2 and {said} from postrider.queue_depth_snapshot"
        ))
        .await;
    }
    app.sql(&delivered_before(0)).await;
    look_until(
        &app,
        "select oldest_due_at is null from postrider.queue_depth_snapshot",
    )
    .await;
}
