//! Those who do not read, or do not acknowledge for long.

use super::super::raw::{CLOSE, FIN, Request};
use super::super::sidecar::sidecar_with;
use super::{CLIENT, credentials, ids};
use crate::support::app::{INSTANCE, TestApp};

/// Of an event that no socket's buffers take many of.
const LARGE: usize = 200_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_cut_off_with_a_word_and_what_it_had_not_acknowledged_comes_again() {
    let app = TestApp::start().await;
    credentials(&app).await;
    let sidecar = sidecar_with(&app, "behind_max = 10").await;
    let (id, token) = ids(&app, INSTANCE).await;
    let path = |events: &str| {
        format!(
            "/events/ws?instance_id={id}&client_token={CLIENT}&instance_token={token}&events={events}"
        )
    };
    let request = Request::to(path("Message")).nobody().receiving(4096);
    let mut slow = request.socket(&sidecar).await;
    sidecar.connected(1).await;
    let of_slow = sidecar.inner.hub.everybody().remove(0);
    let mut healthy = Request::to(path("All")).nobody().socket(&sidecar).await;
    let padding = "x".repeat(LARGE);
    let mut count = 0;
    while of_slow.ending().is_none() {
        let data = format!("{{\"n\":{count},\"padding\":\"{padding}\"}}");
        app.emit("Message", &data).await;
        assert_eq!(healthy.message().await["data"]["event"]["n"], count);
        count += 1;
        assert!(count < 1000, "nobody cuts it off");
    }
    let code = loop {
        let (first, payload) = slow.next().await.expect("cut off without a word");
        if first == FIN | CLOSE {
            break u16::from_be_bytes([payload[0], payload[1]]);
        }
    };
    assert_eq!(code, 4413);
    drop(slow);
    sidecar.connected(1).await;
    let mut again = Request::to(path("Message")).nobody().socket(&sidecar).await;
    for number in 0..count {
        assert_eq!(again.message().await["data"]["event"]["n"], number);
    }
}
