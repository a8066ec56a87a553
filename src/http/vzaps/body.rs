//! Bodies that may be left out: the SDKs send none where nothing would stand in it.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::http::api::Api;
use crate::http::extract::{parse, read};
use crate::http::fault::Fault;

/// JSON, or nothing at all, which is taken for `{}`.
#[derive(Debug)]
pub(super) struct OptionalJson<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for OptionalJson<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Fault> {
        let bytes = read(request.into_body(), api.body_bytes_max).await?;
        let bytes = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        parse(bytes).map(Self)
    }
}

/// Which page of something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    page: i64,
    size: i64,
}

/// How many make a page unless the caller says so.
const SIZE: i64 = 20;

/// More are not answered at once.
const SIZE_MAX: i64 = 1000;

/// Beyond it there is nothing, and an offset would be no number.
const PAGE_MAX: i64 = 1_000_000_000;

impl Page {
    /// As a caller asks for it.
    pub(super) fn new(page: Option<i64>, size: Option<i64>) -> Result<Self, Fault> {
        let (page, size) = (page.unwrap_or(1), size.unwrap_or(SIZE));
        if !(1..=PAGE_MAX).contains(&page) {
            let message = format!("page: {page} is none; the first page is 1");
            return Err(Fault::invalid("page", message));
        }
        if !(1..=SIZE_MAX).contains(&size) {
            let message = format!("size: {size} is not from 1 to {SIZE_MAX}");
            return Err(Fault::invalid("size", message));
        }
        Ok(Self { page, size })
    }

    /// What to skip and what to take, for the database.
    pub(super) fn range(self) -> (i64, i64) {
        ((self.page - 1) * self.size, self.size)
    }

    /// Its number, its size, and how many pages so many things make.
    pub(super) fn counted(self, total: i64) -> (i64, i64, i64) {
        (self.page, self.size, (total + self.size - 1) / self.size)
    }
}
