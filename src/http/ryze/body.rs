//! A JSON body whatever its content type says: clients of RyzeAPI do not always say it, nor does `curl -d`.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::http::api::Api;
use crate::http::extract;
use crate::http::fault::Fault;

/// A JSON body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Fault> {
        let bytes = extract::read(request.into_body(), api.body_bytes_max).await?;
        extract::parse(&bytes).map(Self)
    }
}
