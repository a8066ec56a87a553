//! Who is let in at `/socket.io/`, and by what.

use postrider::realtime::close::Close;
use serde_json::Value;

use super::super::raw::{Request, TEXT};
use super::super::sidecar::{sidecar, sidecar_with};
use super::{configure, key};
use crate::support::app::{INSTANCE, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_upgrade_of_a_session_is_refused_and_does_not_keep_the_first_from_being_let_go() {
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "").await;
    let sidecar = sidecar(&app).await;
    let key = key(&app, INSTANCE).await;
    let door = |transport: &str| format!("/socket.io/?EIO=4&transport={transport}&apikey={key}");
    let polling = Request::to(door("polling")).nobody();
    let (mut polled, head) = polling.get(sidecar.address).await;
    let opened = polled.body(&head).await;
    let opened: Value = serde_json::from_slice(&opened[1..]).unwrap();
    let session = format!(
        "{}&sid={}",
        door("websocket"),
        opened["sid"].as_str().unwrap()
    );
    let mut socket = Request::to(&session).nobody().socket(&sidecar).await;
    socket.send(TEXT, b"2probe").await;
    assert_eq!(socket.frame().await.1, b"3probe");
    socket.send(TEXT, b"5").await;
    socket.send(TEXT, b"40/shop,").await;
    while !socket.frame().await.1.starts_with(b"40/shop,") {}
    Request::to(&session)
        .nobody()
        .socket(&sidecar)
        .await
        .gone()
        .await;
    sidecar.connected(1).await;
    sidecar.inner.hub.everybody()[0].close(Close::Slow);
    socket.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_beyond_what_may_come_within_a_second_is_asked_to_come_again_and_a_namespace_never_is()
 {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "accepts_per_second_max = 1").await;
    let key = key(&app, INSTANCE).await;
    let door = format!("/socket.io/?EIO=4&transport=websocket&apikey={key}");
    let mut let_in = Vec::new();
    let mut refused = None;
    while refused.is_none() {
        assert!(let_in.len() < 50, "all of them are let in");
        let (socket, head) = Request::to(&door).nobody().upgrade(sidecar.address).await;
        match head.status {
            101 => let_in.push(socket),
            _ => refused = Some(head),
        }
    }
    let refused = refused.unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    // As many namespaces as it likes, at once.
    let mut socket = let_in.remove(0);
    for namespace in ["/shop,", "/,", "/shop,"] {
        socket.send(TEXT, format!("40{namespace}").as_bytes()).await;
    }
    for _ in 0..2 {
        let answer = loop {
            let (_, frame) = socket.frame().await;
            if frame.starts_with(b"4") {
                break frame;
            }
        };
        assert!(answer.starts_with(b"40"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_spelled_as_only_we_would_read_it_is_a_handshake_that_needs_a_key() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let spelled = "/socket.io/?EIO=4&transport=polling&%73id=AAAAAAAAAAAAAAAA";
    let (_, head) = Request::to(spelled).nobody().get(sidecar.address).await;
    assert_eq!(head.status, 403);
}
