//! What a request is answered with when it is not done: said once, worn in each dialect's own shape.
//!
//! Handlers return `Result<_, Fault>`. On its way out a fault travels in the response's extensions; the manner of the route
//! ([`super::manner`]) writes the status and the body that clients of its dialect expect.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::causes::Causes;
use crate::db;

/// The kinds of fault, from which dialects take the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be read: 400.
    Malformed,
    /// No token, or one that is good for nothing: 401.
    Unauthorized,
    /// A good token, but not for this: 403.
    Forbidden,
    /// No such thing within reach: 404.
    NotFound,
    /// No such route: 404.
    NoRoute,
    /// The route is there, and not for this method: 405.
    Method,
    /// The request did not arrive in time: 408.
    Timeout,
    /// It is there already, or stands against something that is: 409.
    Conflict,
    /// More bytes than are taken: 413.
    TooLarge,
    /// Not JSON: 415.
    MediaType,
    /// Read, understood, and not acceptable: 422.
    Unacceptable,
    /// Too many requests: 429.
    TooMany,
    /// Our fault: 500.
    Internal,
    /// The database cannot be reached, or the process is only starting: 503.
    Unavailable,
}

impl Kind {
    /// The status by its meaning; a dialect may have another.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unacceptable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why a request was not done, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: Kind,
    /// Stable, for programs: `instance_not_found`.
    pub code: &'static str,
    /// For people: what is wrong, where, and what to do.
    pub message: String,
    /// Where in the request, where it is one place: `events[2]`.
    pub field: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            field: None,
            retry_after: None,
        }
    }

    /// A value that cannot be accepted.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let field = field.into();
        Self {
            field: Some(field),
            ..Self::new(Kind::Unacceptable, "invalid_value", message)
        }
    }

    /// No token, or none that is good. Says nothing about what was asked for.
    pub fn unauthorized() -> Self {
        let message = "no valid token was sent; make one with `postrider token create` and send it as `Authorization: Bearer <token>`";
        Self::new(Kind::Unauthorized, "invalid_token", message)
    }

    /// No instance of this name within reach: there may be one of somebody else's, and nothing tells.
    pub fn instance_not_found(name: &str) -> Self {
        let message = format!("there is no instance {name:?} that this token reaches");
        Self::new(Kind::NotFound, "instance_not_found", message)
    }

    /// Something of ours went wrong. It is logged here, once, and the caller is told no more than that.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Causes(error), "a request failed");
        Self::new(
            Kind::Internal,
            "internal_error",
            "something went wrong here; the log tells what, under this request's id",
        )
    }

    /// Not now.
    pub fn unavailable(message: &'static str) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(Kind::Unavailable, "unavailable", message)
        }
    }
}

impl From<db::Error> for Fault {
    fn from(error: db::Error) -> Self {
        match &error {
            db::Error::Refused {
                code,
                message,
                hint,
            } => match refused(code) {
                Some((kind, code)) => Self::new(kind, code, sentence(message, hint.as_deref())),
                None if error_is_passing(code) => unreachable_database(&error),
                None => Self::internal(&error),
            },
            db::Error::EnabledMax(_) => {
                Self::new(Kind::Conflict, "too_many_enabled", error.to_string())
            }
            db::Error::UrlInUse => Self::new(Kind::Conflict, "url_in_use", error.to_string()),
            db::Error::EndpointExists => {
                Self::new(Kind::Conflict, "already_exists", error.to_string())
            }
            db::Error::EndpointGone => {
                Self::new(Kind::NotFound, "endpoint_not_found", error.to_string())
            }
            db::Error::Silent(_) => unreachable_database(&error),
            _ if error.is_transient() => unreachable_database(&error),
            _ => Self::internal(&error),
        }
    }
}

/// The database is away or busy; it was not the caller.
fn unreachable_database(error: &db::Error) -> Fault {
    tracing::warn!(error = %Causes(error), "the database cannot be used");
    Fault::unavailable("the database cannot be reached at present; try again")
}

/// What SQLSTATEs of refusals mean to a caller. None: it was not the caller.
fn refused(code: &str) -> Option<(Kind, &'static str)> {
    Some(match code {
        "P0002" => (Kind::NotFound, "not_found"),
        "23505" => (Kind::Conflict, "already_exists"),
        "53400" => (Kind::Forbidden, "instances_exhausted"),
        "54000" => (Kind::TooLarge, "payload_too_large"),
        _ if ["22", "23", "0A", "54", "P0"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            (Kind::Unacceptable, "invalid_value")
        }
        _ => return None,
    })
}

/// Connection, resources, operator intervention, serialisation, deadlock, read-only, locks.
fn error_is_passing(code: &str) -> bool {
    ["08", "53", "57", "40", "25", "55"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// A refusal of our own SQL functions as one text.
fn sentence(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message}. {hint}"),
        None => message.to_owned(),
    }
}

/// On its way out: the manner of the route gives it its body.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
