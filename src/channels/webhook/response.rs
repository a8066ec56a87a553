//! What an answer means.

use bytes::{Bytes, BytesMut};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use time::OffsetDateTime;
use url::Url;

use super::retry_after;
use crate::channels::{Class, Failure, Outcome, Receipt, Retry, Verdict};
use crate::model::{Destination, Parcel};

/// Kept of a response, for the attempt log.
const KEPT_BYTES_MAX: usize = 16 * 1024;
/// Read of a response in all. Reading a little more than is kept lets most connections be used again; past it the connection is
/// dropped, so that a body without end costs no more than this.
const READ_BYTES_MAX: usize = 64 * 1024;
/// The header by which a receiver steers.
const STEERING: &str = "webhook-delivery";

/// What a receiver may say with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steering {
    /// Nothing, or nothing we know.
    None,
    /// Send no more: pause the endpoint.
    Disable,
    /// Do not try this message again.
    AbortMessage,
}

/// The first bytes of the body. Returns at its end or once enough was read, whichever comes first.
pub(super) async fn read(response: &mut Response) -> Result<Bytes, reqwest::Error> {
    let mut kept = BytesMut::new();
    let mut read = 0;
    while read < READ_BYTES_MAX {
        let Some(chunk) = response.chunk().await? else {
            break;
        };
        read += chunk.len();
        let room = KEPT_BYTES_MAX - kept.len();
        // Copied, not sliced: a slice would keep the connection's read buffer alive for as long as the attempt waits to be logged.
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(kept.freeze())
}

/// The outcome of an attempt that was answered, at `now` by our clock.
pub(super) fn judge(
    parcel: &Parcel,
    response: &Response,
    kept: Bytes,
    now: OffsetDateTime,
) -> Outcome {
    let status = response.status();
    let headers = response.headers();
    let steering = steering(headers);
    if status.is_success() {
        return Outcome::Delivered(Receipt {
            status: Some(status.as_u16()),
            response: kept,
            verdict: match steering {
                Steering::Disable => Verdict::Pause,
                Steering::None | Steering::AbortMessage => Verdict::None,
            },
        });
    }
    let (class, verdict) = ordinary(status);
    let mut failure = Failure {
        class,
        status: Some(status.as_u16()),
        detail: detail(status, headers, response.url()),
        response: kept,
        retry: hinted(status, retry_after::wait(headers, now)),
        verdict,
    };
    if is_final(parcel, status) {
        failure.class = Class::Rejected;
        failure.retry = Retry::Never;
        failure.detail += "; the endpoint's schedule lists this status as final";
    }
    match steering {
        Steering::None => {}
        Steering::Disable => {
            failure.verdict = Verdict::Pause;
            failure.detail += "; the receiver asked for no more (webhook-delivery: disable)";
        }
        Steering::AbortMessage => {
            failure.class = Class::Rejected;
            failure.retry = Retry::Never;
            failure.detail += "; the receiver asked to drop it (webhook-delivery: abort-message)";
        }
    }
    if failure.verdict == Verdict::Pause
        && failure.retry == Retry::OnSchedule
        && matches!(parcel.to, Destination::Endpoint(_))
    {
        // The endpoint is paused and its deliveries are held, this one too: it is not to die of it.
        failure.retry = Retry::NotBefore {
            wait: std::time::Duration::ZERO,
            spends_attempt: false,
        };
    }
    Outcome::Failed(failure)
}

/// What a status means where nothing else is said.
fn ordinary(status: StatusCode) -> (Class, Verdict) {
    match status.as_u16() {
        410 => (Class::Gone, Verdict::Pause),
        429 => (Class::Client, Verdict::SlowDown),
        502..=504 => (Class::Server, Verdict::SlowDown),
        300..=399 => (Class::Redirect, Verdict::None),
        400..=499 => (Class::Client, Verdict::None),
        500..=599 => (Class::Server, Verdict::None),
        // Beyond the registered classes HTTP leaves the meaning open; a 1xx that ends a response is against it.
        _ => (Class::Protocol, Verdict::None),
    }
}

/// Whether and when to try again: a receiver that is overloaded and says until when costs the delivery no attempt.
fn hinted(status: StatusCode, wait: Option<std::time::Duration>) -> Retry {
    match wait {
        Some(wait) => Retry::NotBefore {
            wait,
            spends_attempt: !matches!(status.as_u16(), 429 | 503),
        },
        None => Retry::OnSchedule,
    }
}

fn is_final(parcel: &Parcel, status: StatusCode) -> bool {
    match &parcel.to {
        Destination::Endpoint(endpoint) => {
            endpoint.schedule.final_statuses.contains(&status.as_u16())
        }
        Destination::Direct { .. } => false,
    }
}

fn steering(headers: &HeaderMap) -> Steering {
    let value = headers.get(STEERING).map(http::HeaderValue::as_bytes);
    match value.map(<[u8]>::trim_ascii) {
        Some(value) if value.eq_ignore_ascii_case(b"disable") => Steering::Disable,
        Some(value) if value.eq_ignore_ascii_case(b"abort-message") => Steering::AbortMessage,
        _ => Steering::None,
    }
}

fn detail(status: StatusCode, headers: &HeaderMap, url: &Url) -> String {
    let said = status.to_string();
    if !status.is_redirection() {
        return said;
    }
    match headers.get(LOCATION).and_then(|to| origin(to, url)) {
        Some(origin) => format!(
            "{said} to {origin}; redirects are not followed: give the endpoint its final URL"
        ),
        None => format!("{said}; redirects are not followed: give the endpoint its final URL"),
    }
}

/// Scheme, host and port of a redirect's goal; its path and query may hold secrets.
fn origin(location: &http::HeaderValue, base: &Url) -> Option<String> {
    let goal = base.join(location.to_str().ok()?).ok()?;
    let origin = goal.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}
