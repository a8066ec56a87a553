//! What a process lets in, and how it ends.

use super::raw::{END, Request};
use super::sidecar::{sidecar, sidecar_with};
use super::{STREAM, emit};
use crate::support::app::TestApp;
use crate::support::wait::{PATIENCE, until};

#[tokio::test(flavor = "multi_thread")]
async fn beyond_a_limit_nobody_is_let_in_until_somebody_leaves() {
    let check = async |limit: &str| {
        let app = TestApp::start().await;
        let sidecar = sidecar_with(&app, limit).await;
        let first = Request::to(STREAM).socket(&sidecar).await;
        let (second, _) = Request::to(STREAM).get(sidecar.address).await;
        sidecar.connected(2).await;
        let (_, head) = Request::to(STREAM).upgrade(sidecar.address).await;
        assert_eq!(head.status, 503, "{limit}");
        assert_eq!(head.header("retry-after"), Some("1"));
        assert_eq!(Request::to(STREAM).get(sidecar.address).await.1.status, 503);
        drop(first);
        sidecar.connected(1).await;
        let third = Request::to(STREAM).socket(&sidecar).await;
        drop(second);
        sidecar.connected(1).await;
        Request::to(STREAM).socket(&sidecar).await;
        drop(third);
    };
    check("connections_max = 2").await;
    check("connections_per_instance_max = 2").await;
    check("connections_per_token_max = 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_too_many_have_come_within_a_second_is_asked_to_come_again() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "accepts_per_second_max = 1").await;
    let mut refused = None;
    for _ in 0..50 {
        let (_, head) = Request::to(STREAM).upgrade(sidecar.address).await;
        refused = (head.status != 101).then_some(head);
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("all of them are let in");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    until("it is let in later", PATIENCE, async || {
        let (_, head) = Request::to(STREAM).upgrade(sidecar.address).await;
        head.status == 101
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_for_which_there_is_no_room_is_asked_to_come_again() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "connections_max = 1").await;
    let _first = Request::to(STREAM).socket(&sidecar).await;
    let source = Request::to(STREAM).header("Accept", "text/event-stream");
    let (mut client, head) = source.get(sidecar.address).await;
    // After any other status it would never come back.
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    client.until(b"retry: ").await;
    assert_eq!(client.sse().await.json()["code"], 1013);
    let wrong = Request::to(STREAM).token("wrong");
    let wrong = wrong.header("Accept", "text/event-stream");
    assert_eq!(wrong.get(sidecar.address).await.1.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_an_instance_and_of_a_token_leave_others_their_room() {
    let app = TestApp::start().await;
    app.instance("yard").await;
    app.sql("insert into postrider.tokens (account_id, digest) values (1, sha256('other'))")
        .await;
    let yard = "/v1/instances/yard/stream";
    let of_instance = sidecar_with(&app, "connections_per_instance_max = 1").await;
    let _shop = Request::to(STREAM).socket(&of_instance).await;
    let _yard = Request::to(yard).socket(&of_instance).await;
    let of_token = sidecar_with(&app, "connections_per_token_max = 1").await;
    let _one = Request::to(STREAM).socket(&of_token).await;
    let _other = Request::to(STREAM).token("other").socket(&of_token).await;
    let (_, head) = Request::to(yard).upgrade(of_token.address).await;
    assert_eq!(head.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_elsewhere_is_refused_and_a_program_is_not() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "origins = ['https://a.example']").await;
    let from = |origin: &str| Request::to(STREAM).header("Origin", origin);
    for (origin, allowed) in [
        ("https://a.example", true),
        ("https://b.example", false),
        ("http://a.example", false),
        ("https://a.example.evil.example", false),
        ("null", false),
    ] {
        let (_, socket) = from(origin).upgrade(sidecar.address).await;
        assert_eq!(socket.status, if allowed { 101 } else { 403 }, "{origin}");
        let (_, sse) = from(origin).get(sidecar.address).await;
        assert_eq!(sse.status, if allowed { 200 } else { 403 }, "{origin}");
        let shown = allowed.then_some(origin);
        assert_eq!(sse.header("access-control-allow-origin"), shown);
    }
    Request::to(STREAM).socket(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_sends_everybody_elsewhere_and_nothing_is_lost() {
    let app = TestApp::start().await;
    let leaving = sidecar(&app).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Request::to(STREAM).socket(&leaving).await);
    }
    let (mut sse, _) = Request::to(STREAM).get(leaving.address).await;
    let first = sse.sse().await;
    emit(&app, 1).await;
    let mut cursors = Vec::new();
    for client in &mut clients {
        let cursor = client.event().await["cursor"].clone();
        cursors.push(cursor.as_str().unwrap().to_owned());
    }
    leaving.tasks.soft().cancel();
    for client in &mut clients {
        let (code, reason) = client.closed().await;
        assert_eq!(code, 1012);
        assert!(reason.contains("reconnect"), "{reason}");
    }
    sse.until(b"event: close").await;
    assert_eq!(sse.sse().await.json()["code"], 1012);
    sse.until(END).await;
    let (_, head) = Request::to(STREAM).upgrade(leaving.address).await;
    assert_eq!(head.status, 503);
    emit(&app, 2).await;
    let other = sidecar(&app).await;
    for cursor in cursors {
        let path = format!("{STREAM}?cursor={cursor}");
        let mut client = Request::to(path).socket(&other).await;
        assert_eq!(client.numbers(1).await, [2]);
    }
    let again = Request::to(STREAM).header("Last-Event-ID", &first.id);
    let (mut sse, _) = again.get(other.address).await;
    sse.sse().await;
    assert_eq!(sse.sse().await.json()["data"]["n"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_who_is_connected_and_ends_one_of_them() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut socket = Request::to(STREAM).socket(&sidecar).await;
    sidecar.connected(1).await;
    let of_socket = sidecar.inner.hub.everybody().remove(0);
    let (_sse, _) = Request::to(STREAM).get(sidecar.address).await;
    sidecar.connected(2).await;
    for connection in sidecar.inner.hub.everybody() {
        let address = connection.peer.address.expect("its address is known");
        assert!(address.ip().is_loopback());
        assert_eq!(connection.peer.token, "configured");
    }
    assert!(sidecar.inner.hub.kick(of_socket.id));
    assert_eq!(socket.closed().await.0, 1008);
    sidecar.connected(1).await;
    assert!(!sidecar.inner.hub.kick(of_socket.id));
}
