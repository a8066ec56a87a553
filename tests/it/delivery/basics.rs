//! What works when nothing goes wrong.

use crate::support::app::TestApp;

#[tokio::test]
async fn every_event_reaches_every_endpoint_that_wants_it() {
    let app = TestApp::start().await;
    let all = app.endpoint("all").create().await;
    let some = app
        .endpoint("some")
        .events(&["order.shipped"])
        .create()
        .await;
    let worker = app.worker().start().await;
    let events = app.emit_many(200).await;
    let shipped = app.emit("order.shipped", "{}").await;
    app.drained().await;
    assert_eq!(app.assert_seen(&all, &events), 0, "delivered twice");
    assert_eq!(app.assert_seen(&some, &[shipped]), 0, "delivered twice");
    assert_eq!(some.receiver.count(), 1);
    app.finish([worker]).await;
}

#[tokio::test]
async fn a_worker_process_delivers_and_ends_cleanly() {
    let app = TestApp::start().await;
    let all = app.endpoint("all").create().await;
    let mut process = app.worker().spawn();
    process.ready().await;
    let events = app.emit_many(20).await;
    app.drained().await;
    assert_eq!(app.assert_seen(&all, &events), 0, "delivered twice");
    process.stop().await;
    app.finish([]).await;
}
