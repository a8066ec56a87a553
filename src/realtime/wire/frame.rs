//! What a server sends: whole frames, unmasked, each made once.

use bytes::{BufMut, Bytes, BytesMut};

/// Text.
pub const TEXT: u8 = 0x1;
/// Ping.
pub const PING: u8 = 0x9;
/// Pong.
pub const PONG: u8 = 0xA;
/// Close.
pub const CLOSE: u8 = 0x8;

/// The bit of a compressed message.
pub const COMPRESSED: u8 = 0x40;

/// A control frame holds no more.
const CONTROL_BYTES_MAX: usize = 125;

/// The payload of a frame of ours.
pub fn payload(frame: &[u8]) -> &[u8] {
    let head = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(head..).unwrap_or_default()
}

/// One whole frame. Bits may stand beside the opcode.
pub fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len() + 10);
    out.put_u8(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.put_u8(u8::try_from(length).expect("it is at most 125")),
        length @ 126..=0xffff => {
            out.put_u8(126);
            out.put_u16(u16::try_from(length).expect("it is at most 65535"));
        }
        length => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
    out.extend_from_slice(payload);
    out.freeze()
}

/// A close frame. Of the reason, as much as fits.
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    frame(CLOSE, &payload)
}

#[cfg(test)]
mod tests {
    use super::{TEXT, close, frame};

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        let check = |length: usize, head: &[u8]| {
            let frame = frame(TEXT, &vec![b'x'; length]);
            assert_eq!(
                (&frame[..head.len()], frame.len()),
                (head, head.len() + length)
            );
        };
        check(0, &[0x81, 0]);
        check(125, &[0x81, 125]);
        check(126, &[0x81, 126, 0, 126]);
        check(65_535, &[0x81, 126, 255, 255]);
        check(65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let frame = close(4413, &"é".repeat(100));
        assert_eq!(frame.len(), 2 + 2 + 122);
        assert_eq!(&frame[2..4], &4413_u16.to_be_bytes());
        std::str::from_utf8(&frame[4..]).unwrap();
    }
}
