//! permessage-deflate (RFC 7692), without context takeover: a message is compressed once, for everybody who takes it so, and
//! an idle connection holds no window.

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::{COMPRESSED, TEXT, frame, payload};

/// What is offered under this name.
const NAME: &str = "permessage-deflate";
/// Both sides begin each message anew.
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// What ends the data of a message, and is left out of it.
const END: [u8; 4] = [0, 0, 0xff, 0xff];
/// Shorter messages do not get any shorter.
const WORTHWHILE_BYTES: usize = 128;
/// Decompressed at once.
const STEP_BYTES: usize = 16 * 1024;

/// Compressed data that cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It would be longer than it may be.
    TooLong,
    /// It is no such data.
    Broken,
}

/// What to answer to a request that offers it in a way we can keep; none where there is no such offer.
pub fn agreed(headers: &HeaderMap) -> Option<HeaderValue> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    offers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(is_good)
        .then(|| HeaderValue::from_static(ANSWER))
}

/// Whether we can keep an offer: each parameter is known, there once, and asks for no smaller window of ours.
fn is_good(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some(NAME) {
        return false;
    }
    let mut seen = Vec::new();
    parts.all(|part| {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        let again = seen.contains(&name);
        seen.push(name);
        let bits = value.map(str::parse::<u8>);
        !again
            && match name {
                "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
                "client_max_window_bits" => {
                    bits.is_none_or(|bits| bits.is_ok_and(|bits| (8..=15).contains(&bits)))
                }
                "server_max_window_bits" => bits.is_some_and(|bits| bits == Ok(15)),
                _ => false,
            }
    })
}

/// A finished text as one that is compressed; as it was where that is not shorter.
pub fn compressed(finished: &Bytes) -> Bytes {
    let payload = payload(finished);
    if payload.len() < WORTHWHILE_BYTES {
        return finished.clone();
    }
    let mut deflating = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(payload.len());
    loop {
        let read = usize::try_from(deflating.total_in()).unwrap_or(payload.len());
        let flush = FlushCompress::Sync;
        if deflating
            .compress_vec(&payload[read..], &mut out, flush)
            .is_err()
        {
            return finished.clone();
        }
        if out.len() < out.capacity() {
            break;
        }
        if out.len() > payload.len() {
            return finished.clone();
        }
        out.reserve(STEP_BYTES);
    }
    match out.strip_suffix(&END) {
        Some(data) if data.len() < payload.len() => frame(COMPRESSED | TEXT, data),
        _ => finished.clone(),
    }
}

/// What a client compressed.
pub fn decompressed(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, Unreadable> {
    let whole = [data, &END].concat();
    let mut inflating = Decompress::new(false);
    let mut out = Vec::new();
    loop {
        let read = usize::try_from(inflating.total_in()).map_err(|_| Unreadable::Broken)?;
        out.reserve(STEP_BYTES);
        let before = (inflating.total_in(), out.len());
        let status = inflating
            .decompress_vec(&whole[read..], &mut out, FlushDecompress::Sync)
            .map_err(|_| Unreadable::Broken)?;
        if out.len() > bytes_max {
            return Err(Unreadable::TooLong);
        }
        // A last block may end before what we appended.
        if status == Status::StreamEnd {
            return Ok(out);
        }
        let all_read = inflating.total_in() == whole.len() as u64;
        if all_read && out.len() < out.capacity() {
            return Ok(out);
        }
        if before == (inflating.total_in(), out.len()) {
            return Err(Unreadable::Broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_kept_where_it_asks_for_nothing_we_cannot_do() {
        let check = |offers: &[&'static str], kept: bool| {
            let mut headers = HeaderMap::new();
            for offer in offers {
                let value = HeaderValue::from_static(offer);
                headers.append(header::SEC_WEBSOCKET_EXTENSIONS, value);
            }
            assert_eq!(agreed(&headers).is_some(), kept, "{offers:?}");
        };
        check(&[], false);
        check(&["permessage-deflate"], true);
        check(&["permessage-deflate; client_max_window_bits"], true);
        check(&["permessage-deflate; client_max_window_bits=10"], true);
        check(&["permessage-deflate; client_max_window_bits=7"], false);
        check(
            &["permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
            true,
        );
        check(&["permessage-deflate; server_max_window_bits=15"], true);
        check(&["permessage-deflate; server_max_window_bits=9"], false);
        // The second one will do.
        check(
            &["permessage-deflate; server_max_window_bits=9, permessage-deflate"],
            true,
        );
        check(&["permessage-deflate; unknown"], false);
        check(
            &["permessage-deflate; client_max_window_bits; client_max_window_bits"],
            false,
        );
        check(&["x-webkit-deflate-frame", "permessage-deflate"], true);
    }

    #[test]
    fn what_is_compressed_can_be_read_and_what_is_short_stays_as_it_is() {
        let long = "hello world ".repeat(20_000);
        let finished = frame(TEXT, long.as_bytes());
        let smaller = compressed(&finished);
        assert!(smaller.len() < finished.len() / 10);
        assert_eq!(smaller[0], 0xc1);
        let data = payload(&smaller);
        assert_eq!(
            decompressed(data, long.len()),
            Ok(long.clone().into_bytes())
        );
        assert_eq!(decompressed(data, long.len() - 1), Err(Unreadable::TooLong));
        let short = frame(TEXT, b"hello");
        assert_eq!(compressed(&short), short);
    }

    #[test]
    fn what_others_compressed_is_read() {
        // The examples of RFC 7692, 7.2.3.
        for hello in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            assert_eq!(
                decompressed(hello, 100),
                Ok(b"Hello".to_vec()),
                "{hello:x?}"
            );
        }
        assert_eq!(decompressed(&[0x00], 100), Ok(Vec::new()));
        assert_eq!(decompressed(&[0xff; 20], 100), Err(Unreadable::Broken));
    }
}
