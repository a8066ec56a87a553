//! permessage-deflate (RFC 7692): what the cases 12 and 13 of the Autobahn test suite look at.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};

use super::STREAM;
use super::raw::{Client, FIN, PING, Request, TEXT, masked};
use super::sidecar::{Sidecar, sidecar, sidecar_with};
use crate::support::app::TestApp;

/// The header by which it is offered and agreed upon.
const EXTENSIONS: &str = "Sec-WebSocket-Extensions";
/// What is agreed upon.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// The bit of a compressed message.
const COMPRESSED: u8 = 0x40;

/// A message as a client compresses it.
fn deflated(text: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * text.len() + 100);
    Compress::new(Compression::new(level), false)
        .compress_vec(text, &mut out, FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - 4);
    out
}

/// The next message, which has to be compressed.
async fn inflated(client: &mut Client) -> Value {
    let payload = loop {
        // Signs of life are short, and go as they are.
        let (first, payload) = client.next().await.unwrap();
        if first == FIN | COMPRESSED | TEXT {
            break payload;
        }
        assert!(payload.len() < 1000, "not compressed");
    };
    let whole = [&payload[..], &[0, 0, 0xff, 0xff]].concat();
    let mut out = Vec::with_capacity(1 << 20);
    Decompress::new(false)
        .decompress_vec(&whole, &mut out, FlushDecompress::Sync)
        .unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// A socket with it.
async fn open(sidecar: &Sidecar) -> Client {
    let request = Request::to(STREAM).header(EXTENSIONS, "permessage-deflate");
    let (mut client, head) = request.upgrade(sidecar.address).await;
    assert_eq!(head.header(EXTENSIONS), Some(AGREED));
    client.settled_after_position().await;
    client
}

/// A text that is repeated, of about so many bytes.
fn text(bytes: usize) -> Vec<u8> {
    let name = "order.paid ".repeat(bytes / 11);
    json!({"command": "filter", "events": [name]})
        .to_string()
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_compressed_to_those_who_want_them_so_and_are_the_same_for_all() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "compression = true").await;
    let mut first = open(&sidecar).await;
    let mut second = open(&sidecar).await;
    let mut plain = Request::to(STREAM).socket(&sidecar).await;
    plain.settled_after_position().await;
    let data = json!({"text": "the same again and again ".repeat(2000), "n": 1});
    for _ in 0..3 {
        app.emit("order.paid", &data.to_string()).await;
        let event = plain.event().await;
        assert_eq!(event["data"], data);
        // Nothing is needed of the message before.
        assert_eq!(inflated(&mut first).await, event);
        assert_eq!(inflated(&mut second).await, event);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_messages_are_understood_however_they_are_cut() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "compression = true").await;
    let mut client = open(&sidecar).await;
    // 12.1 to 12.5: sizes and levels, 0 being no compression at all.
    for bytes in [20, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_000] {
        for level in [0, 1, 9] {
            let text = text(bytes);
            let said: Value = serde_json::from_slice(&text).unwrap();
            let data = deflated(&text, level);
            if data.len() > 65_536 {
                continue;
            }
            client.raw(&masked(FIN | COMPRESSED | TEXT, &data)).await;
            assert_eq!(client.message().await["events"], said["events"]);
            // In two fragments, with a ping between; only the first has the bit.
            let (begin, end) = data.split_at(data.len() / 2);
            client.raw(&masked(COMPRESSED | TEXT, begin)).await;
            client.raw(&masked(FIN | PING, b"between")).await;
            assert_eq!(client.heard().await.1, b"between");
            client.raw(&masked(FIN, end)).await;
            assert_eq!(client.message().await["events"], said["events"]);
        }
    }
    // Whoever may compress need not.
    client.send(TEXT, &text(100)).await;
    assert_eq!(client.message().await["control"], "filter");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_compressed_as_agreed_is_refused() {
    let app = TestApp::start().await;
    let sidecar = sidecar_with(&app, "compression = true").await;
    let refused = async |bytes: &[u8], code: u16| {
        let mut client = open(&sidecar).await;
        client.raw(bytes).await;
        assert_eq!(client.closed().await.0, code, "{}", bytes.escape_ascii());
    };
    let of = |data: &[u8]| masked(FIN | COMPRESSED | TEXT, data);
    // A little that becomes very much.
    refused(&of(&deflated(&vec![b' '; 20_000_000], 9)), 1009).await;
    refused(&of(&[0xff; 30]), 1007).await;
    refused(&of(&deflated(b"\xce\xba\xed\xa0\x80", 6)), 1007).await;
    refused(&masked(FIN | COMPRESSED | PING, b""), 1002).await;
    let begin = masked(COMPRESSED | TEXT, b"x");
    refused(&[begin, masked(FIN | COMPRESSED, b"y")].concat(), 1002).await;
    refused(&masked(FIN | 0x20 | TEXT, b"{}"), 1002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_agreed_upon_that_is_not_offered_or_not_configured() {
    let app = TestApp::start().await;
    let by_default = sidecar(&app).await;
    let offered = || Request::to(STREAM).header(EXTENSIONS, "permessage-deflate");
    let (mut client, head) = offered().upgrade(by_default.address).await;
    assert_eq!((head.status, head.header(EXTENSIONS)), (101, None));
    client.settled_after_position().await;
    client
        .raw(&masked(FIN | COMPRESSED | TEXT, &deflated(b"{}", 6)))
        .await;
    assert_eq!(client.closed().await.0, 1002);
    let configured = sidecar_with(&app, "compression = true").await;
    let (_, head) = Request::to(STREAM).upgrade(configured.address).await;
    assert_eq!((head.status, head.header(EXTENSIONS)), (101, None));
    // 13: offers with parameters; one that we cannot keep is not agreed upon.
    for (offer, agreed) in [
        ("permessage-deflate; client_max_window_bits", true),
        ("permessage-deflate; server_max_window_bits=9", false),
        (
            "permessage-deflate; server_max_window_bits=9, permessage-deflate",
            true,
        ),
    ] {
        let request = Request::to(STREAM).header(EXTENSIONS, offer);
        let (_, head) = request.upgrade(configured.address).await;
        let answer = head.header(EXTENSIONS);
        assert_eq!(answer, agreed.then_some(AGREED), "{offer}");
    }
}
