//! Those who do not read.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use postrider::realtime::close::Close;
use serde_json::{Value, json};

use super::super::raw::{CLOSE, FIN, Request, TEXT};
use super::super::sidecar::{sidecar, sidecar_with};
use super::super::slow::emit_large;
use super::socketio::{Client, PACKAGE};
use super::{configure, key};
use crate::support::app::{INSTANCE, TestApp};
use crate::support::node::Node;
use crate::support::wait::{PATIENCE, until};

/// Few may wait, and who takes nothing is soon found out.
const STRICT: &str = "behind_max = 10\nping_ms = 400";
/// Large events that fit into what a machine and the library buffer for one client, and many more.
const BUFFERED_MAX: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_io_client_that_reads_too_slowly_is_let_go_so_that_it_comes_back_to_what_it_missed()
 {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    for transport in ["websocket", "polling"] {
        let app = TestApp::start().await;
        configure(&app, INSTANCE, "").await;
        let sidecar = sidecar_with(&app, STRICT).await;
        let query = json!({"apikey": key(&app, INSTANCE).await, "resume": 1});
        let form = json!({"query": query, "transports": [transport]});
        let mut stuck = Client::connected(&node, &sidecar, "/shop", &form).await;
        sidecar.connected(1).await;
        let of_stuck = sidecar.inner.hub.everybody().remove(0);
        let query = json!({"apikey": key(&app, INSTANCE).await});
        let form = json!({"query": query, "transports": [transport]});
        let mut healthy = Client::connected(&node, &sidecar, "/shop", &form).await;
        let process = Pid::from_raw(stuck.program.id().unwrap().cast_signed());
        kill(process, Signal::SIGSTOP).unwrap();
        let mut count = 0;
        while of_stuck.ending().is_none() {
            emit_large(&app, count..count + 1).await;
            let heard = healthy.hears().await;
            assert_eq!(heard.2, i64::try_from(count).unwrap());
            count += 1;
            assert!(count < BUFFERED_MAX, "nobody lets it go: {transport}");
        }
        kill(process, Signal::SIGCONT).unwrap();
        let mut numbers = Vec::new();
        let mut ends = Vec::new();
        while numbers.last() != Some(&(count - 1)) {
            let said = stuck.says().await;
            let number = said["values"][0]["data"]["n"].as_u64();
            numbers.extend(number.map(|number| usize::try_from(number).unwrap()));
            ends.extend(said["disconnected"].as_str().map(str::to_owned));
        }
        assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "{transport}");
        assert_eq!(ends.len(), 1, "{transport}: {ends:?}");
        assert!(ends[0].starts_with("transport"), "{transport}: {ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_socket_io_client_holds_no_place_for_ever() {
    let Some(node) = Node::with_or_skipped(PACKAGE).await else {
        return;
    };
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "").await;
    let sidecar = sidecar_with(&app, STRICT).await;
    let query = json!({"apikey": key(&app, INSTANCE).await});
    // It begins by polling, and goes on with a WebSocket.
    let form = json!({"query": query, "transports": ["polling", "websocket"]});
    let client = Client::connected(&node, &sidecar, "/shop", &form).await;
    sidecar.connected(1).await;
    let process = Pid::from_raw(client.program.id().unwrap().cast_signed());
    kill(process, Signal::SIGSTOP).unwrap();
    let mut count = 0;
    while !sidecar.inner.hub.everybody().is_empty() {
        emit_large(&app, count..count + 10).await;
        count += 10;
        assert!(count < BUFFERED_MAX, "it keeps its place");
    }
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_socket_that_reads_too_slowly_is_cut_off_with_a_word_and_nobody_waits_for_it() {
    let app = TestApp::start().await;
    configure(&app, INSTANCE, "").await;
    let sidecar = sidecar_with(&app, STRICT).await;
    let path = format!("/?token={}", key(&app, INSTANCE).await);
    let request = Request::to(&path).nobody().receiving(4096);
    let mut slow = request.socket(&sidecar).await;
    sidecar.connected(1).await;
    let of_slow = sidecar.inner.hub.everybody().remove(0);
    let mut healthy = Request::to(&path).nobody().socket(&sidecar).await;
    let mut count = 0;
    while of_slow.ending().is_none() {
        emit_large(&app, count..count + 1).await;
        assert_eq!(healthy.message().await["data"]["n"], count);
        count += 1;
        assert!(count < BUFFERED_MAX, "nobody cuts it off");
    }
    let code = loop {
        let (first, payload) = slow.next().await.expect("cut off without a word");
        if first == FIN | CLOSE {
            break u16::from_be_bytes([payload[0], payload[1]]);
        }
    };
    assert_eq!(code, 4413);
    drop(slow);
    until("it is forgotten", PATIENCE, async || {
        sidecar.inner.hub.everybody().len() == 1
    })
    .await;
}
