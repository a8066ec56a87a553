//! Lists come in pages. A cursor says where the next one begins; what it says inside is our own business.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::http::fault::Fault;

/// Items of a page, where nobody says how many.
const ITEMS: i64 = 100;

/// Items of a page at most.
const ITEMS_MAX: i64 = 500;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// What was found. A page of deliveries or events may be short, or empty, and yet not be the last.
    pub(super) items: Vec<T>,
    /// Give it as `cursor` to get the next page; null: this is the last.
    #[schema(value_type = Option<String>)]
    pub(super) next_cursor: Option<Cursor>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String)]
pub(super) struct Cursor(pub(super) i64);

impl<T> Page<T> {
    /// Of items in the order of a key. It was asked for one more than the page holds, so that the last page is known as such.
    pub(super) fn of<R>(
        mut rows: Vec<R>,
        size: i64,
        key: impl Fn(&R) -> i64,
        show: impl Fn(R) -> T,
    ) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next_cursor = rows.last().filter(|_| more).map(|row| Cursor(key(row)));
        Self {
            items: rows.into_iter().map(show).collect(),
            next_cursor,
        }
    }
}

/// How many items a page is to have.
pub(super) fn size(asked: Option<i64>) -> Result<i64, Fault> {
    match asked {
        None => Ok(ITEMS),
        Some(asked) if (1..=ITEMS_MAX).contains(&asked) => Ok(asked),
        Some(_) => Err(Fault::invalid(
            "limit",
            format!("limit is 1 to {ITEMS_MAX}"),
        )),
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let unknown = || D::Error::custom("cursor: give the next_cursor of a page, as it is");
        bytes
            .map(|bytes| Self(i64::from_be_bytes(bytes)))
            .ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Page, size};

    #[test]
    fn a_cursor_survives_its_way_to_the_caller_and_back() {
        for key in [0, 1, i64::MAX] {
            let text = serde_json::to_string(&Cursor(key)).unwrap();
            assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), Cursor(key));
        }
        for other in ["\"\"", "\"1\"", "\"AAAAAAAAAAAAAA\"", "1"] {
            assert!(serde_json::from_str::<Cursor>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn only_a_page_that_has_a_next_one_says_so() {
        let page = Page::of(vec![1, 2, 3], 2, |row| *row, |row| row);
        assert_eq!(
            (page.items, page.next_cursor),
            (vec![1, 2], Some(Cursor(2)))
        );
        let page = Page::of(vec![1, 2], 2, |row| *row, |row| row);
        assert_eq!((page.items, page.next_cursor), (vec![1, 2], None));
    }

    #[test]
    fn a_page_has_a_size_within_bounds() {
        assert_eq!(size(None).unwrap(), 100);
        assert!(size(Some(0)).is_err() && size(Some(501)).is_err() && size(Some(500)).is_ok());
    }
}
