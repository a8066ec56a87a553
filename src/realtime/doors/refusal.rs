//! Why a request is not let in, before it is a connection.

use axum::Json;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::realtime::hub;

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request makes no sense.
    Malformed(String),
    /// No good token.
    Unauthorized,
    /// A web page from elsewhere.
    Origin,
    /// No such instance within reach.
    NoInstance,
    /// There is no room.
    NoRoom(hub::Refusal),
    /// The token comes too often.
    TooOften,
    /// The database is away.
    Unavailable,
}

impl Refusal {
    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::NoInstance => StatusCode::NOT_FOUND,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::NoRoom(_) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A word for programs.
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unauthorized => "invalid_token",
            Self::Origin => "origin_not_allowed",
            Self::NoInstance => "instance_not_found",
            Self::NoRoom(_) => "no_room",
            Self::TooOften => "rate_limited",
            Self::Unavailable => "unavailable",
        }
    }

    /// In words.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Malformed(message) => message.clone(),
            Self::Unauthorized => "Invalid token".to_owned(),
            Self::Origin => {
                "pages of this origin may not connect; list it in realtime.origins".to_owned()
            }
            Self::NoInstance => "Instance not found".to_owned(),
            Self::NoRoom(hub::Refusal::Draining) => {
                "this process is ending; connect again".to_owned()
            }
            Self::NoRoom(hub::Refusal::Full) => {
                "too many connections (realtime.connections_max)".to_owned()
            }
            Self::NoRoom(hub::Refusal::InstanceFull) => {
                "too many connections to this instance (realtime.connections_per_instance_max)"
                    .to_owned()
            }
            Self::NoRoom(hub::Refusal::TokenFull) => {
                "too many connections by this token (realtime.connections_per_token_max)".to_owned()
            }
            Self::NoRoom(hub::Refusal::TooMany) => {
                "too many come at once (realtime.accepts_per_second_max); connect again".to_owned()
            }
            Self::TooOften => "Rate limit exceeded. Try again later.".to_owned(),
            Self::Unavailable => "the database is away; connect again later".to_owned(),
        }
    }

    /// As our own API says it. The listener has put the request's id among its headers.
    pub(super) fn problem(&self, asked: &HeaderMap) -> Response {
        let status = self.status();
        let id = asked.get("x-request-id").and_then(|id| id.to_str().ok());
        let body = json!({
            "type": format!("urn:postrider:problem:{}", self.code()),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": self.code(),
            "detail": self.message(),
            "request_id": id.unwrap_or_default(),
        });
        let mut response = with_wait((status, Json(body)).into_response());
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if *self == Self::Unauthorized {
            let scheme = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }

    /// As `RyzeAPI` says it.
    pub(super) fn ryze(&self) -> Response {
        let body = json!({"success": false, "error": {"message": self.message()}});
        with_wait((self.status(), Json(body)).into_response())
    }

    /// As `VZaps` says it.
    pub(super) fn vzaps(&self) -> Response {
        let status = self.status();
        let body = json!({"code": status.as_u16(), "success": false, "error": self.message()});
        with_wait((status, Json(body)).into_response())
    }

    /// As Evolution API says it.
    pub(super) fn evolution(&self, named: &str) -> Response {
        let status = self.status();
        let message = match self {
            Self::Unauthorized => json!("Unauthorized"),
            Self::NoInstance => json!([format!("The \"{named}\" instance does not exist")]),
            other => json!([other.message()]),
        };
        with_wait(evolution(status, &message))
    }

    /// As Evolution API says that a path is none.
    pub(super) fn evolution_no_route(method: &Method) -> Response {
        let message = json!([format!("Cannot {method} /")]);
        evolution(StatusCode::NOT_FOUND, &message)
    }
}

/// Evolution API's shape.
fn evolution(status: StatusCode, message: &serde_json::Value) -> Response {
    let body = json!({
        "status": status.as_u16(),
        "error": status.canonical_reason(),
        "response": {"message": message},
    });
    (status, Json(body)).into_response()
}

/// Says when to try again, where that may help.
pub(super) fn with_wait(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let wait = header::HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}
