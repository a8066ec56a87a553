//! What handlers take from a request. Each refuses with a fault that names the place, so that every dialect can shape it.

use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::Api;
use super::fault::{Fault, Kind};
use super::object;

/// A body that has not arrived by then is given up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A JSON body, read to the limit and no further. As an answer: written as JSON.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

/// The query, `?a=b`.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

/// What stands in the path.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Fault> {
        if !may_be_json(request.headers().get(header::CONTENT_TYPE)) {
            let message = "the body is not JSON; send it with content-type: application/json";
            return Err(Fault::new(Kind::MediaType, "not_json", message));
        }
        let bytes = read(request.into_body(), api.body_bytes_max).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Parses a body, naming the place of what is wrong.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    if bytes.trim_ascii_start().starts_with(b"[") && object::is_expected::<T>() {
        let message = "the body: expected an object, not an array";
        return Err(Fault::invalid("the body", message));
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner();
        if problem.is_data() {
            let place = if path == "." {
                "the body".to_owned()
            } else {
                path
            };
            Fault::invalid(place.clone(), format!("{place}: {problem}"))
        } else {
            malformed(&problem)
        }
    })?;
    from.end().map_err(|problem| malformed(&problem))?;
    Ok(value)
}

/// Not JSON at all.
fn malformed(problem: &serde_json::Error) -> Fault {
    let message = format!("the body is not valid JSON: {problem}");
    Fault::new(Kind::Malformed, "malformed_json", message)
}

/// Whether a body of this type may be JSON; one that says nothing may be.
fn may_be_json(content_type: Option<&axum::http::HeaderValue>) -> bool {
    let Some(text) = content_type else {
        return true;
    };
    let Ok(text) = text.to_str() else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
}

/// Reads a body to its end, but no more than is taken.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Fault> {
    let too_large = || {
        let message = format!(
            "the body is larger than {bytes_max} bytes; send less, or raise http.body_bytes_max"
        );
        Fault::new(Kind::TooLarge, "body_too_large", message)
    };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Over the limit, or the connection broke; then nobody reads the answer.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Fault::new(
            Kind::Timeout,
            "too_slow",
            "the body did not arrive in time",
        )),
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(problem) => {
                let message = problem.body_text();
                let message =
                    message.replace("Failed to deserialize query string: ", "the query: ");
                Err(Fault::new(Kind::Malformed, "invalid_query", message))
            }
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(problem) => Err(Fault::new(
                Kind::Malformed,
                "invalid_path",
                problem.body_text(),
            )),
        }
    }
}
