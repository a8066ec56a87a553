//! `Retry-After`: seconds, or a date.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::backoff::HINT_MAX;

/// How long the receiver asks us to wait. None where it does not ask, asks for nothing (0, a date gone by), or cannot be
/// understood: a hint of nothing must not buy a retry that costs no attempt.
///
/// A date is measured against the response's own `Date` where there is one, so that the two clocks need not agree.
pub(super) fn wait(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is too long to be a number is too long to be waited for.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let sent = headers
            .get(DATE)
            .and_then(|date| http_date(date.to_str().ok()?));
        Duration::try_from(http_date(value)? - sent.unwrap_or(now)).ok()?
    };
    (!wait.is_zero()).then_some(wait.min(HINT_MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that may still be sent.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text.trim(), &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: i64 = 784_111_777;

    fn check(retry_after: &str, date: Option<&str>, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        let expected = expected.map(Duration::from_secs);
        assert_eq!(wait(&headers, now), expected, "{retry_after}");
    }

    #[test]
    fn seconds_and_dates_are_understood_and_capped_at_a_day() {
        check("120", None, Some(120));
        check(" 7 ", None, Some(7));
        check("Sun, 06 Nov 1994 08:50:37 GMT", None, Some(60));
        check("86401", None, Some(86_400));
        check("Tue, 08 Nov 1994 08:49:37 GMT", None, Some(86_400));
        check("99999999999999999999999", None, Some(86_400));
    }

    #[test]
    fn a_date_is_measured_by_the_receivers_own_clock() {
        check(
            "Sun, 06 Nov 1994 09:50:37 GMT",
            Some("Sun, 06 Nov 1994 09:49:37 GMT"),
            Some(60),
        );
    }

    #[test]
    fn nothing_the_past_and_nonsense_are_no_hint() {
        for nonsense in [
            "0",
            "",
            "-5",
            "1.5",
            "+5",
            "soon",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sat, 05 Nov 1994 08:49:37 GMT",
        ] {
            check(nonsense, None, None);
        }
        assert_eq!(wait(&HeaderMap::new(), OffsetDateTime::UNIX_EPOCH), None);
    }
}
