//! WebSocket to the letter (RFC 6455), frame by frame: what the cases 1 to 7 and 10 of the Autobahn test suite look at. The
//! suite's own server echoes; ours repeats a filter, which serves as well. The numbers are those of its cases.

use serde_json::json;

use super::STREAM;
use super::raw::{BINARY, CLOSE, Client, FIN, PING, PONG, Request, TEXT, masked};
use super::sidecar::{Sidecar, sidecar};
use crate::support::app::TestApp;

/// The rest of a fragmented message.
const CONTINUATION: u8 = 0x0;

/// A socket that has been told where it begins.
async fn open(sidecar: &Sidecar) -> Client {
    let mut client = Request::to(STREAM).socket(sidecar).await;
    client.settled_after_position().await;
    client
}

/// A text that is repeated, of exactly so many bytes: the name of an event in a filter, and spaces.
fn text(name: &str, bytes: usize) -> Vec<u8> {
    let mut text = json!({"command": "filter", "events": [name]}).to_string();
    assert!(text.len() <= bytes);
    text.push_str(&" ".repeat(bytes - text.len()));
    text.into_bytes()
}

/// The text is repeated.
async fn repeated(client: &mut Client, name: &str) {
    let answer = client.message().await;
    assert_eq!(answer, json!({"control": "filter", "events": [name]}));
}

/// Bytes written at once, and in pieces of one size.
async fn write(client: &mut Client, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece) {
        if !client.try_raw(piece).await {
            return;
        }
    }
}

/// Whatever is against the rules ends the connection with this code, however it is cut into packets.
async fn refused(sidecar: &Sidecar, case: &str, bytes: &[u8], code: u16) {
    for piece in [1, bytes.len()] {
        let mut client = open(sidecar).await;
        write(&mut client, bytes, piece).await;
        let (closed, reason) = client.closed().await;
        assert_eq!(closed, code, "case {case} in pieces of {piece}: {reason}");
        assert!(!reason.is_empty(), "case {case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_length_are_understood() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut client = open(&sidecar).await;
    // 1.1: each length is written in another form from 126 and from 65536 on.
    for bytes in [60, 125, 126, 127, 128, 65_535, 65_536] {
        client.send(TEXT, &text("order.paid", bytes)).await;
        repeated(&mut client, "order.paid").await;
    }
    // 1.1.8: in packets of 997 bytes.
    let frame = masked(FIN | TEXT, &text("order.paid", 65_536));
    write(&mut client, &frame, 997).await;
    repeated(&mut client, "order.paid").await;
    // 1.1.1: an empty message is a message.
    client.send(TEXT, b"").await;
    assert_eq!(client.message().await["control"], "error");
    // 1.2: bytes mean nothing here, and do no harm.
    for bytes in [0, 125, 126, 127, 128, 65_535, 65_536] {
        client.send(BINARY, &vec![0xfe; bytes]).await;
    }
    client.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_with_what_they_carry() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let mut client = open(&sidecar).await;
    // 2.1 to 2.4, 2.6.
    for payload in [&b""[..], b"Hello", &[0, 0xff, 0xfe, 0xfd], &[0xfe; 125]] {
        client.send(PING, payload).await;
        assert_eq!(client.heard().await, (PONG, payload.to_vec()));
        write(&mut client, &masked(FIN | PING, payload), 1).await;
        assert_eq!(client.heard().await, (PONG, payload.to_vec()));
    }
    // 2.7 to 2.9: pongs that nobody asked for.
    client.send(PONG, b"").await;
    client.send(PONG, b"unsolicited").await;
    client.send(PING, b"after").await;
    assert_eq!(client.heard().await, (PONG, b"after".to_vec()));
    // 2.10, 2.11: ten at once, in order.
    let numbered = |number: u8| masked(FIN | PING, &[number]);
    let ten: Vec<u8> = (0..10).flat_map(numbered).collect();
    for piece in [1, ten.len()] {
        write(&mut client, &ten, piece).await;
        for number in 0..10 {
            assert_eq!(client.heard().await, (PONG, vec![number]));
        }
    }
    // 2.5.
    refused(&sidecar, "2.5", &masked(FIN | PING, &[0xfe; 126]), 1002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_bits_and_opcodes_without_a_meaning_are_refused() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    // 3.1 to 3.7, on every kind of frame.
    for bits in 1..=7 {
        let bits = bits << 4;
        for opcode in [TEXT, BINARY, PING, PONG, CLOSE] {
            let mut bytes = masked(FIN | TEXT, &text("order.paid", 60));
            bytes.extend(masked(FIN | bits | opcode, b""));
            let mut client = open(&sidecar).await;
            client.raw(&bytes).await;
            repeated(&mut client, "order.paid").await;
            assert_eq!(client.closed().await.0, 1002, "{bits:x} on {opcode:x}");
        }
    }
    // 4.1, 4.2.
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        for payload in [&b""[..], b"reserved opcode"] {
            let bytes = masked(FIN | opcode, payload);
            refused(&sidecar, "4", &bytes, 1002).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_make_a_message_and_control_frames_may_come_between() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let whole = text("order.paid", 80);
    let (first, rest) = whole.split_at(30);
    let (second, third) = rest.split_at(20);
    let begin = masked(TEXT, first);
    let go_on = masked(CONTINUATION, second);
    let end = masked(FIN | CONTINUATION, third);
    let empty = masked(CONTINUATION, b"");
    // 5.3 to 5.5: as they come.
    let plain = [&begin[..], &go_on, &end].concat();
    // 5.6 to 5.8, 5.19, 5.20: with pings between.
    let ping = masked(FIN | PING, b"between");
    let with_pings = [&begin[..], &ping, &go_on, &ping, &end].concat();
    // 6.1.3: with empty fragments.
    let with_empty = [&begin[..], &empty, &go_on, &empty, &end].concat();
    for (bytes, pings) in [(plain, 0), (with_pings, 2), (with_empty, 0)] {
        for piece in [1, 7, bytes.len()] {
            let mut client = open(&sidecar).await;
            write(&mut client, &bytes, piece).await;
            for _ in 0..pings {
                assert_eq!(client.heard().await, (PONG, b"between".to_vec()));
            }
            repeated(&mut client, "order.paid").await;
        }
    }
    // 10.1.1: a long message in many fragments.
    let long = text("order.paid", 65_536);
    let mut client = open(&sidecar).await;
    let mut parts = long.chunks(1300).peekable();
    let mut opcode = TEXT;
    while let Some(part) = parts.next() {
        let fin = if parts.peek().is_none() { FIN } else { 0 };
        client.raw(&masked(fin | opcode, part)).await;
        opcode = CONTINUATION;
    }
    repeated(&mut client, "order.paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_out_of_order_are_refused() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let begin = masked(TEXT, b"{");
    let check = async |case: &str, frames: &[&[u8]]| {
        refused(&sidecar, case, &frames.concat(), 1002).await;
    };
    // 5.1, 5.2: control frames are whole.
    check("5.1", &[&masked(PING, b"frag"), &masked(FIN, b"ment")]).await;
    check("5.2", &[&masked(PONG, b"frag"), &masked(FIN, b"ment")]).await;
    // 5.9 to 5.15: nothing to go on with.
    check("5.9", &[&masked(FIN, b"non-continuation")]).await;
    check("5.12", &[&masked(CONTINUATION, b"non-continuation")]).await;
    // 5.16, 5.17: twice in a row.
    check(
        "5.16",
        &[&masked(CONTINUATION, b"a"), &begin, &masked(FIN, b"}")],
    )
    .await;
    // 5.18: another message within one.
    check("5.18", &[&begin, &masked(FIN | TEXT, b"{}")]).await;
    check("5.18", &[&begin, &masked(FIN | BINARY, b"{}")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_utf_8_however_it_is_cut() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    // 6.2, 6.5 to 6.11, 6.22, 6.23: characters of every length, and the last ones of each.
    let names = [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "\u{7f}\u{7ff}\u{ffff}\u{10ffff}",
        "\u{80}\u{800}\u{10000}",
        "\u{d7ff}\u{e000}\u{fffd}",
        "\u{fffe}\u{fdd0}\u{1fffe}\u{10fffe}",
    ];
    for name in names {
        let bytes = text(name, 120);
        let mut client = open(&sidecar).await;
        client.send(TEXT, &bytes).await;
        repeated(&mut client, name).await;
        // A fragment for each byte, so that characters are cut.
        let last = bytes.len() - 1;
        for (place, byte) in bytes.iter().enumerate() {
            let opcode = if place == 0 { TEXT } else { CONTINUATION };
            let fin = if place == last { FIN } else { 0 };
            client.raw(&masked(fin | opcode, &[*byte])).await;
        }
        repeated(&mut client, name).await;
    }
    // Bytes that are no text are fine where none is promised.
    let mut client = open(&sidecar).await;
    client.send(BINARY, &[0xff, 0xfe]).await;
    client.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf_8_is_refused_as_soon_as_it_shows() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    let wrong: [&[u8]; 14] = [
        // 6.3: good, wrong, good.
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
        // 6.8, 6.10: sequences of five and six bytes.
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        // 6.12, 6.13: continuations of nothing.
        b"\x80",
        b"\xbf\x80",
        // 6.14: beginnings without an end, followed by something else.
        b"\xc0 \xc1 ",
        b"\xe0 \xe1 ",
        // 6.16: bytes that never occur.
        b"\xfe",
        b"\xff",
        // 6.18, 6.19: longer than need be.
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        // 6.20, 6.21: halves of pairs.
        b"\xed\xa0\x80",
        b"\xed\xad\xbf\xed\xb0\x80",
    ];
    for bytes in wrong {
        refused(&sidecar, "6", &masked(FIN | TEXT, bytes), 1007).await;
        let half = bytes.len() / 2;
        let cut = [
            masked(TEXT, &bytes[..half]),
            masked(FIN | CONTINUATION, &bytes[half..]),
        ];
        refused(&sidecar, "6 in fragments", &cut.concat(), 1007).await;
    }
    // 6.4: the message is not over, and cannot become right any more: by fragments, by bytes of a frame.
    let early = [
        masked(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"),
        masked(CONTINUATION, b"\xf4\x90"),
    ];
    refused(&sidecar, "6.4.1", &early.concat(), 1007).await;
    let whole = masked(FIN | TEXT, b"\xce\xba\xf4\x90\x80\x80edited");
    refused(&sidecar, "6.4.3", &whole[..10], 1007).await;
    // 6.6: it ends within a character.
    refused(&sidecar, "6.6.1", &masked(FIN | TEXT, b"\xce"), 1007).await;
    refused(
        &sidecar,
        "6.6.8",
        &masked(FIN | TEXT, b"\xce\xba\xe1\xbd"),
        1007,
    )
    .await;
    refused(
        &sidecar,
        "6.17",
        &masked(FIN | TEXT, b"\xf7\xbf\xbf\xbf"),
        1007,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_answered_with_its_code_and_nothing_after_it_counts() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    // 7.3.1 and 7.3.3 to 7.3.5, 7.7: every code there is.
    let codes = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999_u16,
    ];
    for code in codes {
        for reason in [&b""[..], b"good bye", &[b'*'; 123]] {
            let mut client = open(&sidecar).await;
            client
                .send(CLOSE, &[&code.to_be_bytes(), reason].concat())
                .await;
            assert_eq!(client.closed().await, (code, String::new()));
        }
    }
    let mut client = open(&sidecar).await;
    client.send(CLOSE, b"").await;
    assert_eq!(client.closed().await.0, 1005);
    // 7.1.2 to 7.1.4, 7.1.6: a second close, a ping or a text after the first are not answered.
    for after in [
        masked(FIN | CLOSE, &1000_u16.to_be_bytes()),
        masked(FIN | PING, b"after"),
        masked(FIN | TEXT, &text("order.paid", 60)),
    ] {
        let close = masked(FIN | CLOSE, &1000_u16.to_be_bytes());
        let mut client = open(&sidecar).await;
        client.raw(&[close, after].concat()).await;
        assert_eq!(
            client.frame().await,
            (CLOSE, 1000_u16.to_be_bytes().to_vec())
        );
        assert_eq!(client.next().await, None);
    }
    // What came before it is answered before; 7.1.5: a message that was begun is not.
    let before = [
        masked(FIN | PING, b"before"),
        masked(TEXT, b"{"),
        masked(FIN | CLOSE, &1000_u16.to_be_bytes()),
        masked(FIN | CONTINUATION, b"}"),
    ];
    let mut client = open(&sidecar).await;
    client.raw(&before.concat()).await;
    assert_eq!(client.heard().await, (PONG, b"before".to_vec()));
    assert_eq!(client.closed().await.0, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_may_not_be_sent_is_refused() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    // 7.9.
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535_u16,
    ] {
        let bytes = masked(FIN | CLOSE, &code.to_be_bytes());
        refused(&sidecar, &format!("7.9 with {code}"), &bytes, 1002).await;
    }
    // 7.3.2, 7.3.6, 7.5.1.
    refused(&sidecar, "7.3.2", &masked(FIN | CLOSE, b"a"), 1002).await;
    let long = [&1000_u16.to_be_bytes()[..], &[b'*'; 124]].concat();
    refused(&sidecar, "7.3.6", &masked(FIN | CLOSE, &long), 1002).await;
    let no_text = [&1000_u16.to_be_bytes()[..], b"\xce\xba\xed\xa0\x80"].concat();
    refused(&sidecar, "7.5.1", &masked(FIN | CLOSE, &no_text), 1007).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_not_masked_or_too_long_is_refused_by_its_head() {
    let app = TestApp::start().await;
    let sidecar = sidecar(&app).await;
    refused(&sidecar, "not masked", b"\x81\x02{}", 1002).await;
    refused(&sidecar, "not masked", b"\x89\x00", 1002).await;
    // One byte more than may be, of which none has to be sent.
    let one_more = [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    refused(&sidecar, "too long", &one_more, 1009).await;
    let huge = [
        0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
    ];
    refused(&sidecar, "too long", &huge, 1009).await;
    // Fragments add up.
    let begin = masked(BINARY, &vec![0; 65_536]);
    let mut client = open(&sidecar).await;
    write(
        &mut client,
        &[begin, masked(FIN | CONTINUATION, b"x")].concat(),
        65_536,
    )
    .await;
    assert_eq!(client.closed().await.0, 1009);
}
