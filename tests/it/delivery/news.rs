//! What Postrider tells owners about their endpoints, as events.

use crate::support::app::TestApp;
use crate::support::receiver::{Answer, Receiver};
use crate::support::wait::{PATIENCE, until};

/// The types of the events a receiver got, sorted.
fn types(receiver: &Receiver) -> Vec<String> {
    let mut types: Vec<String> = receiver
        .requests()
        .iter()
        .map(|request| request.json()["type"].as_str().unwrap().to_owned())
        .collect();
    types.sort();
    types
}

#[tokio::test]
async fn owners_who_subscribe_hear_of_failing_recovered_and_exhausted_and_nobody_else_does() {
    let app = TestApp::start().await;
    let subscriptions = [
        "postrider.endpoint.failing",
        "postrider.endpoint.recovered",
        "postrider.delivery.exhausted",
    ];
    let watch = app.endpoint("watch").events(&subscriptions).create().await;
    let shop = app
        .endpoint("shop")
        .failing(500)
        .max_attempts(2)
        .create()
        .await;
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    watch.receiver.wait_for(2).await;
    shop.receiver.answer(Answer::ok());
    app.emit("order.paid", "{}").await;
    watch.receiver.wait_for(3).await;
    app.drained().await;
    assert_eq!(
        types(&watch.receiver),
        [
            "postrider.delivery.exhausted",
            "postrider.endpoint.failing",
            "postrider.endpoint.recovered"
        ]
    );
    // It takes all events there are: all of its instance's, not ours.
    assert_eq!(
        types(&shop.receiver),
        ["order.paid", "order.paid", "order.paid"]
    );
    let exhausted = watch
        .receiver
        .requests()
        .iter()
        .map(crate::support::receiver::Received::json)
        .find(|event| event["type"] == "postrider.delivery.exhausted")
        .unwrap();
    assert_eq!(exhausted["data"]["endpoint"], "shop");
    assert_eq!(exhausted["data"]["attempts"], 2);
    app.finish([worker]).await;
}

#[tokio::test]
async fn operational_events_reach_only_those_who_name_them_however_they_are_emitted() {
    let app = TestApp::start().await;
    let all = app.endpoint("all").create().await;
    let named = app
        .endpoint("named")
        .events(&["postrider.test"])
        .create()
        .await;
    app.emit("postrider.test", "{}").await;
    app.sql("select postrider.emit_many('[{\"instance\": \"shop\", \"type\": \"postrider.test\", \"data\": {}}]')").await;
    let queued = |endpoint: i64| {
        format!("select count(*) from postrider.webhook_queue where endpoint_id = {endpoint}")
    };
    assert_eq!(app.value::<i64>(&queued(all.id)).await, 0);
    assert_eq!(app.value::<i64>(&queued(named.id)).await, 2);
    let replayed =
        |endpoint: i64| format!("select postrider.replay({endpoint}, now() - interval '1 hour')");
    assert_eq!(app.value::<i64>(&replayed(all.id)).await, 0);
    assert_eq!(app.value::<i64>(&replayed(named.id)).await, 2);
}

#[tokio::test]
async fn an_endpoint_that_only_fails_is_paused_after_its_time_unless_it_speaks_ryze() {
    let app = TestApp::start().await;
    let watch = app
        .endpoint("watch")
        .events(&["postrider.endpoint.disabled", "postrider.endpoint.failing"])
        .create()
        .await;
    let ours = app
        .endpoint("ours")
        .failing(500)
        .max_attempts(1)
        .create()
        .await;
    let ryze = app
        .endpoint("ryze")
        .dialect("ryze")
        .failing(500)
        .max_attempts(1)
        .create()
        .await;
    let weekly = app
        .endpoint("weekly")
        .failing(500)
        .max_attempts(1)
        .create()
        .await;
    // The last one is sent something once a week.
    for (endpoint, last) in [(&ours, "1 hour"), (&ryze, "1 hour"), (&weekly, "6 days")] {
        app.sql(&format!(
            "insert into postrider.endpoint_health (endpoint_id, failing_since, last_failure_at) values ({}, now() - interval '6 days', now() - interval '{last}')",
            endpoint.id
        ))
        .await;
    }
    let worker = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    watch.receiver.wait_for(3).await;
    app.counted("failed", 3).await;
    let state =
        |label: &str| format!("select state from postrider.endpoint_list where label = '{label}'");
    assert_eq!(app.value::<String>(&state("ours")).await, "paused");
    assert_eq!(app.value::<String>(&state("ryze")).await, "enabled");
    assert_eq!(app.value::<String>(&state("weekly")).await, "enabled");
    assert_eq!(
        types(&watch.receiver),
        [
            "postrider.endpoint.disabled",
            "postrider.endpoint.failing",
            "postrider.endpoint.failing"
        ]
    );
    drop((ours, ryze, weekly));
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_recovery_that_another_worker_sees_ends_the_failure_too() {
    let app = TestApp::start().await;
    let shop = app
        .endpoint("shop")
        .failing(500)
        .max_attempts(1)
        .create()
        .await;
    let failing = "select failing_since is not null from postrider.endpoint_health";
    let first = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    app.counted("failed", 1).await;
    until("its failure is noted", PATIENCE, async || {
        app.value::<i64>(
            "select count(*) from postrider.endpoint_health where failing_since is not null",
        )
        .await
            == 1
    })
    .await;
    first.stop().await;
    shop.receiver.answer(Answer::ok());
    let second = app.worker().start().await;
    app.emit("order.paid", "{}").await;
    app.counted("delivered", 1).await;
    until("its recovery is noted", PATIENCE, async || {
        !app.value::<bool>(failing).await
    })
    .await;
    app.finish([second]).await;
}
