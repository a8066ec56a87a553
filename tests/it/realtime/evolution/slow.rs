//! Those who do not read.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::super::raw::{CLOSE, FIN, Request};
use super::super::sidecar::sidecar_with;
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
