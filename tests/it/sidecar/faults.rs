//! A sidecar is killed, Postgres crashes, a cable is pulled, events are removed: clients lose nothing, or are told.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::subscriber::Subscriber;
use super::{connections, sidecar, started};
use crate::support::app::TestApp;
use crate::support::postgres::OwnCluster;
use crate::support::proxy::Proxy;
use crate::support::wait::{PATIENCE, meanwhile, until};

/// Emits until `work` is done.
async fn emit_during(app: &TestApp, work: impl Future<Output = ()>) {
    meanwhile(work, async || {
        let emit = sqlx::query("select postrider.emit('shop', 'order.paid', '{}')");
        // One that is not answered may have been committed: the test asks the table in the end.
        drop(emit.execute(app.pool()).await);
    })
    .await;
}

/// The ids of all events there are, by their order.
async fn stored(app: &TestApp) -> Vec<String> {
    app.value("select coalesce(array_agg(postrider.event_id(id, nonce) order by id), '{}') from postrider.events")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_sidecar_that_is_killed_go_on_at_another_one_and_lose_nothing() {
    let app = TestApp::start().await;
    let mut process = started(sidecar(&app)).await;
    let subscribers = [
        Subscriber::connect(process.address().unwrap(), "").await,
        Subscriber::connect(process.address().unwrap(), "events=order.paid").await,
    ];
    for _ in 0..3 {
        let before = subscribers[0].connections();
        emit_during(&app, async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            process.signal(Signal::SIGKILL);
            // The other one has never heard of them.
            process = started(sidecar(&app)).await;
            for subscriber in &subscribers {
                subscriber.lead_to(process.address());
                subscriber.connected(before + 1).await;
            }
        })
        .await;
    }
    let events = stored(&app).await;
    for subscriber in &subscribers {
        subscriber.assert_has_exactly(&events).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_stay_connected_while_postgres_is_killed_and_started_again_and_lose_nothing() {
    let mut cluster = OwnCluster::start().await;
    let app = TestApp::over(&cluster.database().await).await;
    let process = started(sidecar(&app)).await;
    let subscriber = Subscriber::connect(process.address().unwrap(), "").await;
    for _ in 0..2 {
        emit_during(&app, async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cluster.kill_immediately().await;
            cluster.start_again().await;
        })
        .await;
        app.emit("order.paid", "{}").await;
    }
    subscriber.assert_has_exactly(&stored(&app).await).await;
    assert_eq!(subscriber.connections(), 1);
    drop(process);
    app.pool().close().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_postgres_that_is_cut_without_a_word_is_given_up_and_nothing_is_lost() {
    let app = TestApp::start().await;
    let proxy = Proxy::before(app.options()).await;
    let process = started(sidecar(&app).through(proxy.options())).await;
    let subscriber = Subscriber::connect(process.address().unwrap(), "").await;
    let mut events = vec![app.emit("order.paid", "{}").await];
    subscriber.assert_has_exactly(&events).await;
    proxy.freeze();
    events.push(app.emit("order.paid", "{}").await);
    // What leads there now stays dead; only who connects anew gets through.
    proxy.mend_only_new();
    events.push(app.emit("order.paid", "{}").await);
    subscriber.assert_has_exactly(&events).await;
    assert_eq!(subscriber.connections(), 1);
    // The bell rings again as well.
    let quiet = process.metric("postrider_doorbell_rings_total");
    until("a ring is heard", PATIENCE, async || {
        events.push(app.emit("order.paid", "{}").await);
        tokio::time::sleep(Duration::from_millis(300)).await;
        process.metric("postrider_doorbell_rings_total") > quiet
    })
    .await;
    subscriber.assert_has_exactly(&events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_after_events_were_removed_is_told_and_can_go_on_with_what_there_is() {
    let app = TestApp::start().await;
    let process = started(sidecar(&app).set("realtime.linger_s", 0)).await;
    let address = process.address();
    let subscriber = Subscriber::connect(address.unwrap(), "").await;
    app.emit("order.paid", "{}").await;
    subscriber.events(1).await;
    subscriber.lead_to(None);
    // What is still in memory would be given from there.
    until("nothing is kept in memory", PATIENCE, async || {
        connections(&app, "doorbell").await == 0
    })
    .await;
    app.emit_many(10).await;
    let kept = app.emit("order.paid", "{}").await;
    app.sql("delete from postrider.events where id < (select max(id) from postrider.events)")
        .await;
    subscriber.lead_to(address);
    subscriber.connected(2).await;
    let position = subscriber.position();
    assert_eq!(position["recovered"], false, "{position}");
    assert_eq!(position["reason"], "removed");
    let next = app.emit("order.paid", "{}").await;
    assert_eq!(subscriber.events(2).await[1], next);
    let other = Subscriber::connect(address.unwrap(), "from=earliest").await;
    assert_eq!(other.events(2).await, [kept, next]);
}
