//! What it means that there was no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::request::Unfit;
use crate::channels::egress::{Problem, Refused, Unresolved};
use crate::channels::{Class, Failure, Retry, Verdict};

/// A lost key is the operator's trouble and no fault of the delivery: it is looked at again so often, and costs no attempt.
const SEALED_SHUT_RETRY: Duration = Duration::from_mins(1);

/// A failure that follows the schedule.
fn on_schedule(class: Class, verdict: Verdict, detail: String) -> Failure {
    Failure {
        class,
        status: None,
        detail,
        response: Bytes::new(),
        retry: Retry::OnSchedule,
        verdict,
    }
}

/// Not finished by the parcel's deadline.
pub(super) fn deadline(elapsed: Duration) -> Failure {
    let detail = format!("no complete answer within {:.1} s", elapsed.as_secs_f64());
    on_schedule(Class::Timeout, Verdict::SlowDown, detail)
}

/// The head arrived and the body did not: when in doubt it is failed.
pub(super) fn cut_off(status: StatusCode, error: &reqwest::Error) -> Failure {
    let detail = format!("{status}, but its body was cut off: {}", innermost(error));
    Failure {
        status: Some(status.as_u16()),
        ..on_schedule(Class::Protocol, Verdict::None, detail)
    }
}

/// No response at all. Details name hosts and addresses, never a URL.
pub(in crate::channels) fn failure(problem: &Problem) -> Failure {
    let error = match problem {
        Problem::Scheme(_) => {
            return Failure {
                retry: Retry::Never,
                ..on_schedule(Class::Configuration, Verdict::None, problem.to_string())
            };
        }
        Problem::Refused(refused) => return egress(refused),
        Problem::Http(error) => error,
    };
    if let Some(refused) = find::<Refused>(error) {
        return egress(refused);
    }
    if let Some(unresolved) = find::<Unresolved>(error) {
        let detail = match &unresolved.cause {
            Some(cause) => format!("{unresolved}: {cause}"),
            None => unresolved.to_string(),
        };
        return on_schedule(Class::Dns, Verdict::None, detail);
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return on_schedule(Class::Tls, Verdict::None, tls_detail(tls));
    }
    if error.is_timeout() {
        let what = if error.is_connect() {
            "no connection"
        } else {
            "no answer"
        };
        return on_schedule(Class::Timeout, Verdict::SlowDown, format!("{what} in time"));
    }
    if error.is_connect() {
        let detail = format!("no connection: {}", innermost(error));
        return on_schedule(Class::Connect, Verdict::SlowDown, detail);
    }
    if error.is_builder() {
        let detail = format!("the URL cannot be requested: {}", innermost(error));
        return on_schedule(Class::Configuration, Verdict::None, detail);
    }
    let detail = format!("no valid HTTP response: {}", innermost(error));
    on_schedule(Class::Protocol, Verdict::None, detail)
}

fn egress(refused: &Refused) -> Failure {
    on_schedule(Class::Egress, Verdict::None, format!("not sent: {refused}"))
}

fn tls_detail(error: &rustls::Error) -> String {
    use rustls::CertificateError::UnknownIssuer;
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            "TLS: the certificate's issuer is not trusted; egress.ca_file can name it".to_owned()
        }
        other => format!("TLS: {other}"),
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        let retry = match unfit {
            Unfit::SealedShut(_) => Retry::NotBefore {
                wait: SEALED_SHUT_RETRY,
                spends_attempt: false,
            },
            // The row itself is at fault, and a row that is corrected is re-queued by the same statement.
            Unfit::Url(_) | Unfit::EventId => Retry::Never,
            Unfit::ReservedHeader(_) => Retry::OnSchedule,
        };
        Failure {
            retry,
            ..on_schedule(Class::Configuration, Verdict::None, unfit.to_string())
        }
    }
}

/// The first error of type `E` on the way down. `io::Error` hides what it wraps from `source`, so it is looked into.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner = error.downcast_ref().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The last cause: the outer ones say "error sending request", and name the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
