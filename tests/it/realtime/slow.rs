//! Those who do not read, do not answer, or send too much; and that nobody else is disturbed by them.

use std::time::Duration;

use postrider::lifecycle::allow_many_files;
use serde_json::json;
use tokio::task::JoinSet;

use super::raw::{CLOSE, FIN, PING, Request, TEXT, masked};
use super::sidecar::{sidecar, sidecar_with};
use super::{STREAM, emit};
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

/// Pings twice a second or so.
const LIVELY: &str = "ping_ms = 400\ndead_ms = 1200";
/// Of an event that no socket's buffers take many of.
const LARGE: usize = 200_000;

/// Events whose data a machine does not buffer.
pub(super) async fn emit_large(app: &TestApp, numbers: std::ops::Range<usize>) {
    let padding = "x".repeat(LARGE);
    for number in numbers {
        let data = format!("{{\"n\":{number},\"padding\":\"{padding}\"}}");
        app.emit("order.paid", &data).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_no_ping_is_cut_off_and_whoever_does_stays() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, LIVELY).await;
    let mut dead = Request::to(STREAM).socket(&sidecar).await;
    let mut alive = Request::to(STREAM).socket(&sidecar).await;
    let (mut sse, _) = Request::to(STREAM).get(sidecar.address).await;
    // It reads, and says nothing.
    let mut gone = JoinSet::new();
    gone.spawn(async move {
        let mut pings = 0;
        while let Some((first, payload)) = dead.next().await {
            pings += usize::from(first == FIN | PING);
            if first == FIN | CLOSE {
                assert_eq!(payload[..2], 1001_u16.to_be_bytes());
            }
        }
        pings
    });
    let mut pings = 0;
    let pings_of_dead = loop {
        if let Some(pings) = gone.try_join_next() {
            break pings.unwrap();
        }
        let (opcode, payload) = alive.frame().await;
        if opcode == PING {
            pings += 1;
            alive.send(super::raw::PONG, &payload).await;
        }
    };
    assert!(pings_of_dead >= 1 && pings >= 2);
    // Server-sent events have a heartbeat of their own.
    sse.until(b"\n:\n\n").await;
    emit(&app, 1).await;
    assert_eq!(alive.numbers(1).await, [1]);
    sidecar.connected(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_is_told_where_it_is() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, LIVELY).await;
    let path = format!("{STREAM}?events=order.lost");
    let mut client = Request::to(path).socket(&sidecar).await;
    let first = client.message().await;
    emit(&app, 1).await;
    // Its filter leaves the event out; its cursor moves past it all the same.
    loop {
        match client.frame().await {
            (PING, payload) => client.send(super::raw::PONG, &payload).await,
            (TEXT, payload) => {
                let position: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(position["control"], "position");
                if position["cursor"] != first["cursor"] {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_cut_off_with_a_word_and_nobody_waits_for_it() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "behind_max = 10").await;
    let mut slow = Request::to(STREAM).receiving(4096).socket(&sidecar).await;
    slow.settled_after_position().await;
    let of_slow = sidecar.inner.hub.everybody().remove(0);
    let mut healthy = Request::to(STREAM).socket(&sidecar).await;
    healthy.settled_after_position().await;
    let mut count = 0;
    while of_slow.ending().is_none() {
        emit_large(&app, count..count + 1).await;
        assert_eq!(healthy.numbers(1).await, [count as u64]);
        count += 1;
        assert!(count < 1000, "nobody cuts it off");
    }
    // It reads at last: what had been begun, and why it is over.
    let mut last = None;
    let code = loop {
        let (first, payload) = slow.next().await.expect("cut off without a word");
        if first == FIN | CLOSE {
            break u16::from_be_bytes([payload[0], payload[1]]);
        }
        last = Some(payload);
    };
    assert_eq!(code, 4413);
    // It goes on where it was.
    let last: serde_json::Value = serde_json::from_slice(&last.unwrap()).unwrap();
    let (number, cursor) = (last["data"]["n"].as_u64().unwrap(), &last["cursor"]);
    let path = format!("{STREAM}?cursor={}", cursor.as_str().unwrap());
    let mut again = Request::to(path).socket(&sidecar).await;
    let rest: Vec<u64> = (number + 1..count as u64).collect();
    assert_eq!(again.numbers(rest.len()).await, rest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_reader_holds_no_place_for_ever() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, &format!("behind_max = 10\n{LIVELY}")).await;
    let stuck = Request::to(STREAM).receiving(4096).socket(&sidecar).await;
    let (stuck_sse, _) = Request::to(STREAM)
        .receiving(4096)
        .get(sidecar.address)
        .await;
    sidecar.connected(2).await;
    emit_large(&app, 0..60).await;
    sidecar.connected(0).await;
    drop((stuck, stuck_sse));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_disturbs_nobody() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut flooding = Request::to(STREAM).socket(&sidecar).await;
    flooding.settled_after_position().await;
    let mut deaf = Request::to(STREAM).receiving(4096).socket(&sidecar).await;
    deaf.settled_after_position().await;
    let mut healthy = Request::to(STREAM).socket(&sidecar).await;
    healthy.settled_after_position().await;
    let pings = masked(FIN | PING, &[7; 125]).repeat(500);
    let texts = masked(FIN | TEXT, b"nonsense").repeat(500);
    // One reads its answers; the other sends and reads nothing, until nothing more is taken from it.
    let read = async {
        for _ in 0..100 {
            flooding.raw(&pings).await;
            for _ in 0..500 {
                flooding.heard().await;
            }
        }
    };
    let unread = async {
        let flood = async {
            loop {
                deaf.raw(&pings).await;
                deaf.raw(&texts).await;
            }
        };
        let stopped = tokio::time::timeout(Duration::from_secs(5), flood).await;
        assert!(stopped.is_err());
    };
    let others = async {
        for number in 0..50 {
            emit(&app, number).await;
        }
        healthy.numbers(50).await
    };
    let ((), (), numbers) = tokio::join!(read, unread, others);
    assert_eq!(numbers, (0..50).collect::<Vec<u64>>());
    // What waits for the one who does not read is a bounded number of answers.
    let waiting = sidecar.inner.hub.everybody().into_iter();
    let most = waiting.map(|one| one.waiting()).max();
    assert!(most < Some(2000), "{most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_without_a_word_is_forgotten() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Request::to(STREAM).socket(&sidecar).await);
        clients.push(Request::to(STREAM).get(sidecar.address).await.0);
    }
    sidecar.connected(40).await;
    drop(clients);
    sidecar.connected(0).await;
}

/// Everybody comes back at once.
async fn all_come_back(count: usize) {
    let app = TestApp::start().await;
    let first_process = sidecar(&app).await;
    let mut client = Request::to(STREAM).socket(&first_process).await;
    client.settled_after_position().await;
    emit(&app, 1).await;
    let cursor = client.event().await["cursor"].as_str().unwrap().to_owned();
    drop(first_process);
    emit(&app, 2).await;
    let second_process = sidecar(&app).await;
    let mut coming = JoinSet::new();
    let address = second_process.address;
    for _ in 0..count {
        let path = format!("{STREAM}?cursor={cursor}");
        coming.spawn(async move {
            let (mut client, head) = Request::to(path).upgrade(address).await;
            assert_eq!(head.status, 101);
            assert_eq!(client.numbers(1).await, [2]);
            client
        });
    }
    let mut clients = coming.join_all().await;
    second_process.connected(count).await;
    emit(&app, 3).await;
    for client in &mut clients {
        assert_eq!(client.numbers(1).await, [3]);
    }
    drop(clients);
    until("all are forgotten", PATIENCE, async || {
        second_process.inner.hub.everybody().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nine_thousand_come_back_at_once_and_each_is_given_what_it_missed() {
    // Both ends of each are in this process, and other tests run beside it.
    let files = usize::try_from(allow_many_files()).unwrap();
    let most = files.saturating_sub(2000) / 2;
    if most < 9000 {
        println!("{most} come back, as only {files} files may be open");
    }
    all_come_back(most.min(9000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_no_http_or_asks_for_no_socket_properly_is_told_so() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let ask = |version: &str, key: &str| {
        Request::to(STREAM)
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", version)
            .header("Sec-WebSocket-Key", key)
    };
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(ask("13", key).get(sidecar.address).await.1.status, 101);
    for (version, key) in [("8", key), ("13", "short"), ("13", "")] {
        let (mut client, head) = ask(version, key).get(sidecar.address).await;
        assert_eq!(head.status, 400);
        let told = client.until(b"}").await;
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["code"], json!("malformed"));
    }
}
