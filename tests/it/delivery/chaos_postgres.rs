//! Postgres restarts, crashes, cuts connections, refuses to write and has no connections left.

use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::endpoint::Endpoint;
use crate::support::oracle::deliveries;
use crate::support::postgres::OwnCluster;
use crate::support::proxy::Proxy;
use crate::support::receiver::Answer;
use crate::support::wait::{PATIENCE, until};
use crate::support::worker::{Process, WorkerBuilder};

/// A worker whose leases end soon.
fn hasty(app: &TestApp) -> WorkerBuilder {
    app.worker()
        .set("worker.timeout_ms", 1000)
        .set("worker.lease_s", 3)
}

/// A worker whose leases end soon, and not so soon that a busy machine lets them.
fn steady(app: &TestApp) -> WorkerBuilder {
    hasty(app).set("worker.lease_s", 6)
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

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_killed_and_started_again_loses_nothing_that_was_committed() {
    let mut cluster = OwnCluster::start().await;
    let app = TestApp::over(&cluster.database().await).await;
    let endpoint = app.endpoint("shop").create().await;
    // It keeps the workers out until we have seen what the crash has left.
    let proxy = Proxy::before(app.options()).await;
    let workers = steady(&app).through(proxy.options()).spawn_two().await;
    let mut events = emit_through(&app, Duration::from_secs(1)).await;
    let mut unwritten = Vec::new();
    for _ in 0..3 {
        let (more, left) = tokio::join!(emit_through(&app, Duration::from_secs(2)), async {
            cluster.kill_immediately().await;
            proxy.cut();
            cluster.start_again().await;
            // Claims and outcomes are not flushed one by one: those of the last moment are lost, and made once more.
            let mut connection = app.options().connect().await.unwrap();
            let left = deliveries(&mut connection, "status = 'pending'").await;
            proxy.mend();
            left
        });
        events.extend(more);
        unwritten.extend(left);
    }
    app.oracle()
        .healthy(&endpoint, &events)
        .may_come_again(&unwritten)
        .judge(workers)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_terminated_ten_times_a_second_lose_nothing() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = steady(&app).spawn_two().await;
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
    // Nothing comes again: whoever loses a connection keeps its outcomes, and writes them over another within the lease.
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_wait_while_postgres_is_away_between_the_answer_and_the_completion() {
    let app = TestApp::start().await;
    let proxy = Arc::new(Proxy::before(app.options()).await);
    let endpoint = app.endpoint("shop").create().await;
    cut_when_all_have_arrived(&endpoint, &proxy, Duration::from_millis(200));
    let workers = app.worker().through(proxy.options()).spawn_two().await;
    let events = app.emit_many(5).await;
    endpoint.receiver.wait_for(5).await;
    until("both workers notice", PATIENCE, async || {
        workers.iter().all(|worker| worker.database_errors() > 0.0)
    })
    .await;
    assert_eq!(app.count("pending").await, 5);
    endpoint.receiver.answer(Answer::ok());
    proxy.mend();
    // The outcomes were kept: nothing has to be sent again.
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}

/// Postgres is gone as soon as this receiver has five requests, none of which is answered before. Two claims may have shared
/// them, and the second needs the database.
fn cut_when_all_have_arrived(endpoint: &Endpoint, proxy: &Arc<Proxy>, answer_after: Duration) {
    let cutting = Arc::clone(proxy);
    let mut arrived = 0;
    endpoint.receiver.answer_with(move |_| {
        arrived += 1;
        if arrived == 5 {
            cutting.cut();
        }
        Answer::ok().after(answer_after)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_but_not_written_when_its_worker_died_is_delivered_again() {
    let app = TestApp::start().await;
    let proxy = Arc::new(Proxy::before(app.options()).await);
    let endpoint = app.endpoint("shop").create().await;
    cut_when_all_have_arrived(&endpoint, &proxy, Duration::from_secs(3));
    let dying = hasty(&app)
        .set("worker.timeout_ms", 4000)
        .set("worker.lease_s", 8)
        .through(proxy.options())
        .spawn_two()
        .await;
    let events = app.emit_many(5).await;
    endpoint.receiver.wait_for(5).await;
    // They are answered, and those who sent them have nobody to tell.
    until("all are answered", PATIENCE, async || {
        endpoint.receiver.concurrency() == 0
    })
    .await;
    for worker in dying {
        worker.kill();
    }
    let held = app.held().await;
    endpoint.receiver.answer(Answer::ok());
    // In no haste: only the leases of the dead workers are to run out.
    let others = app.worker().spawn_two().await;
    let repeated = app
        .oracle()
        .healthy(&endpoint, &events)
        .may_come_again(&held)
        .judge(others)
        .await;
    assert_eq!(repeated, 5, "each once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_read_only_stops_nothing_for_good() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = steady(&app).spawn_two().await;
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
    let before = workers.each_ref().map(Process::database_errors);
    let late: String = sqlx::query_scalar("select postrider.emit('shop', 'order.paid', '{}')")
        .fetch_one(&mut *ours)
        .await
        .unwrap();
    events.push(late);
    until("writing is refused to both", PATIENCE, async || {
        let now = workers.each_ref().map(Process::database_errors);
        now.iter()
            .zip(before)
            .all(|(now, before)| *now >= before + 3.0)
    })
    .await;
    sqlx::raw_sql(set("reset default_transaction_read_only"))
        .execute(&mut *ours)
        .await
        .unwrap();
    // What was connected meanwhile may never write, and nobody cuts it.
    drop(ours);
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_exhausted_behind_a_lock_recovers_by_itself() {
    let app = TestApp::start().await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = hasty(&app)
        .set("database.connections_max", 4)
        .spawn_two()
        .await;
    let events = app.emit_many(500).await;
    endpoint.receiver.wait_for(50).await;
    let mut lock = app.pool().begin().await.unwrap();
    sqlx::query("lock table postrider.webhook_queue in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let held = deliveries(&mut *lock, "lease_token is not null").await;
    // Longer than the leases are.
    sqlx::query("select pg_sleep(4)")
        .execute(&mut *lock)
        .await
        .unwrap();
    lock.rollback().await.unwrap();
    app.oracle()
        .healthy(&endpoint, &events)
        .may_come_again(&held)
        .judge(workers)
        .await;
}

// The server ends a statement after 30 s; we wait a little longer for it to say so.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute of waiting"]
async fn a_connection_that_falls_silent_is_given_up_in_time() {
    let app = TestApp::start().await;
    let proxy = Proxy::before(app.options()).await;
    let endpoint = app.endpoint("shop").create().await;
    let workers = app.worker().through(proxy.options()).spawn_two().await;
    let mut events = app.emit_many(5).await;
    app.drained().await;
    proxy.freeze();
    events.extend(app.emit_many(5).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    // What was open stays silent for ever; what is new gets through.
    proxy.mend_only_new();
    app.drained_within(Duration::from_secs(200)).await;
    // One of them may have delivered it all, while the other still waits.
    let claims = |worker: &Process| worker.metric("postrider_claim_duration_seconds_count");
    let before = workers.each_ref().map(claims);
    until("both claim again", Duration::from_secs(200), async || {
        let now = workers.each_ref().map(claims);
        now.iter()
            .zip(before)
            .all(|(now, before)| *now >= before + 10.0)
    })
    .await;
    app.oracle()
        .healthy(&endpoint, &events)
        .judge(workers)
        .await;
}
