//! The little JSON that envelopes write themselves, around data that is not looked at.

use std::io::Write;

use time::{OffsetDateTime, UtcOffset};

/// `text` as a JSON string, quotes included.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string can be written to memory");
}

/// `text` as a JSON string, or `null`.
pub(super) fn string_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// RFC 3339 in UTC with milliseconds, always 24 characters for the years 0 to 9999.
pub(super) fn timestamp(out: &mut Vec<u8>, at: OffsetDateTime) {
    let at = at.to_offset(UtcOffset::UTC);
    write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
    .expect("memory can be written to");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_string_reads_back_as_itself(text: String) {
            let mut out = Vec::new();
            super::string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
