//! Postgres restarts, crashes, cuts connections, refuses to write and has no connections left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::endpoint::Endpoint;
use crate::support::postgres::OwnCluster;
use crate::support::proxy::Proxy;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::WorkerBuilder;

/// A worker whose leases end soon.
fn hasty(app: &TestApp) -> WorkerBuilder {
    app.worker()
        .set("worker.timeout_ms", 1000)
        .set("worker.lease_s", 3)
}

/// Emits until told to stop, whatever happens; answers with the ids of the events that Postgres said were committed.
async fn emit_through(app: &TestApp, time: Duration) -> Vec<String> {
    let mut events = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        // An acquired connection may be one that is dead; a lost answer may stand for a commit. Both are the producer's to bear.
        let emitted: Result<String, _> =
            sqlx::query_scalar("select postrider.emit('shop', 'order.paid', '{}')")
                .fetch_one(app.pool())
                .await;
        events.extend(emitted);
        tokio::task::yield_now().await;
    }
    events
}

/// Everything that was committed arrived, and nothing failed.
async fn assert_nothing_lost(app: &TestApp, endpoint: &Endpoint, events: &[String]) {
    app.drained_within(Duration::from_mins(2)).await;
    let twice = app.assert_seen(endpoint, events);
    println!("{} events, {twice} delivered twice", events.len());
    assert_eq!(app.count("failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_killed_and_started_again_loses_nothing_that_was_committed() {
    let mut cluster = OwnCluster::start().await;
    let app = TestApp::over(&cluster.database().await).await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = [hasty(&app).start().await, hasty(&app).start().await];
    let mut events = emit_through(&app, Duration::from_secs(1)).await;
    for _ in 0..3 {
        let (more, ()) = tokio::join!(emit_through(&app, Duration::from_secs(2)), async {
            cluster.kill_immediately().await;
            cluster.start_again().await;
        });
        events.extend(more);
    }
    assert_nothing_lost(&app, &endpoint, &events).await;
    app.finish(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_terminated_ten_times_a_second_lose_nothing() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = [hasty(&app).start().await, hasty(&app).start().await];
    let terminating = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..40 {
            ticks.tick().await;
            app.sql(
                "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where datname = current_database()
                   and application_name like 'postrider%' order by random() limit 1) as victim",
            )
            .await;
        }
    };
    let (events, ()) = tokio::join!(emit_through(&app, Duration::from_secs(4)), terminating);
    assert_nothing_lost(&app, &endpoint, &events).await;
    app.finish(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_wait_while_postgres_is_away_between_the_answer_and_the_completion() {
    let app = TestApp::start().await;
    let proxy = Arc::new(Proxy::before(app.options()).await);
    let endpoint = app.endpoint("shop").create().await;
    let cutting = Arc::clone(&proxy);
    endpoint.receiver.answer_with(move |_| {
        cutting.cut();
        Answer::ok()
    });
    let worker = app.worker().through(proxy.options()).start().await;
    let events = app.emit_many(5).await;
    endpoint.receiver.wait_for(5).await;
    until("the worker notices", PATIENCE, async || {
        worker.metric("postrider_database_errors_total") > 0.0
    })
    .await;
    assert_eq!(app.count("pending").await, 5);
    endpoint.receiver.answer(Answer::ok());
    proxy.mend();
    app.drained().await;
    assert_eq!(
        app.assert_seen(&endpoint, &events),
        0,
        "the outcomes were kept, nothing had to be sent again"
    );
    app.finish([worker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_but_not_written_when_its_worker_died_is_delivered_again() {
    let app = TestApp::start().await;
    let proxy = Arc::new(Proxy::before(app.options()).await);
    let endpoint = app.endpoint("shop").create().await;
    let cutting = Arc::clone(&proxy);
    // Nothing is answered before all have come: two claims may have shared them, and the second needs the database.
    let mut arrived = 0;
    endpoint.receiver.answer_with(move |_| {
        arrived += 1;
        if arrived == 5 {
            cutting.cut();
        }
        Answer::ok().after(Duration::from_secs(3))
    });
    let mut dying = hasty(&app)
        .set("worker.timeout_ms", 4000)
        .set("worker.lease_s", 8)
        .through(proxy.options())
        .spawn();
    dying.ready().await;
    let events = app.emit_many(5).await;
    endpoint.receiver.wait_for(5).await;
    // They are answered, and it has nobody to tell.
    until("all are answered", PATIENCE, async || {
        endpoint.receiver.concurrency() == 0
    })
    .await;
    dying.kill();
    endpoint.receiver.answer(Answer::ok());
    // In no haste: only the leases of the dead worker are to run out.
    let other = app.worker().start().await;
    app.drained().await;
    assert_eq!(
        app.assert_seen(&endpoint, &events),
        5,
        "each once more, and none is lost"
    );
    app.finish([other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_read_only_stops_nothing_for_good() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let worker = hasty(&app).start().await;
    let mut events = app.emit_many(10).await;
    app.drained().await;
    let name: String = app.value("select current_database()").await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'postrider%'";
    // Our own sessions began before it and may write on, as those of a producer that had it from its pooler.
    let mut ours = app.pool().acquire().await.unwrap();
    let set = |to: &str| sqlx::AssertSqlSafe(format!("alter database {name} {to}"));
    sqlx::raw_sql(set("set default_transaction_read_only = on"))
        .execute(&mut *ours)
        .await
        .unwrap();
    sqlx::raw_sql(cut).execute(&mut *ours).await.unwrap();
    let errors = worker.metric("postrider_database_errors_total");
    let late: String = sqlx::query_scalar("select postrider.emit('shop', 'order.paid', '{}')")
        .fetch_one(&mut *ours)
        .await
        .unwrap();
    events.push(late);
    until("writing is refused", PATIENCE, async || {
        worker.metric("postrider_database_errors_total") >= errors + 3.0
    })
    .await;
    sqlx::raw_sql(set("reset default_transaction_read_only"))
        .execute(&mut *ours)
        .await
        .unwrap();
    // What was connected meanwhile may never write, and nobody cuts it.
    drop(ours);
    assert_nothing_lost(&app, &endpoint, &events).await;
    app.finish([worker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_exhausted_behind_a_lock_recovers_by_itself() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = [
        hasty(&app).set("database.connections_max", 4).start().await,
        hasty(&app).set("database.connections_max", 4).start().await,
    ];
    let events = app.emit_many(500).await;
    endpoint.receiver.wait_for(50).await;
    let mut lock = app.pool().begin().await.unwrap();
    sqlx::query("lock table postrider.webhook_queue in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    // Longer than the leases are.
    sqlx::query("select pg_sleep(4)")
        .execute(&mut *lock)
        .await
        .unwrap();
    lock.rollback().await.unwrap();
    assert_nothing_lost(&app, &endpoint, &events).await;
    app.finish(workers).await;
}

// The server ends a statement after 30 s; we wait a little longer for it to say so.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute of waiting"]
async fn a_connection_that_falls_silent_is_given_up_in_time() {
    let app = TestApp::start().await;
    let proxy = Proxy::before(app.options()).await;
    let endpoint = app.endpoint("shop").create().await;
    let worker = app.worker().through(proxy.options()).start().await;
    let mut events = app.emit_many(5).await;
    app.drained().await;
    proxy.freeze();
    events.extend(app.emit_many(5).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    // What was open stays silent for ever; what is new gets through.
    proxy.mend_only_new();
    app.drained_within(Duration::from_secs(200)).await;
    app.assert_seen(&endpoint, &events);
    app.finish([worker]).await;
}
