//! `RyzeAPI`'s door.

use super::raw::Request;
use super::sidecar::sidecar;
use crate::support::app::TestApp;

/// Configures the WebSocket of the tests' instance.
async fn configure(app: &TestApp, arguments: &str) {
    app.sql(&format!(
        "select postrider.set_endpoint('shop', null, dialect => 'ryze', channel => 'websocket'{arguments})"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_refused_until_it_is_configured_and_then_speaks_ryzes_envelope() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let (_, head) = Request::to("/ws/shop").upgrade(sidecar.address).await;
    assert_eq!(head.status, 400);
    let (_, head) = Request::to("/ws/nobody").upgrade(sidecar.address).await;
    assert_eq!(head.status, 404);
    configure(&app, "").await;
    let mut client = Request::to("/ws/shop").socket(&sidecar).await;
    client.settled().await;
    super::emit(&app, 1).await;
    let event = client.message().await;
    assert_eq!(event["event"], "order.paid");
    assert_eq!(event["instanceData"]["instance"], "shop");
}
