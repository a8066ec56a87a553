//! Where a client says it was, in the words that several doors have for it.

use super::refusal::Refusal;
use crate::db::tail::Origin;

/// Why those who hear several instances cannot go on where they were.
pub(super) const ONE_INSTANCE: &str =
    "who hears several instances is not told where it is: to resume, name one of them";

/// What a client says of where it is.
#[derive(Debug)]
pub(super) enum Resuming {
    /// Nothing: it is not told either.
    Never,
    /// It wants to be told, and begins with the present.
    Later,
    /// It was there, and goes on.
    From(Origin),
}

/// Whether a client wants to be told where it is, and where it was; `said` is what it says of it.
pub(super) fn resumes(said: impl Fn(&str) -> Option<String>) -> Result<Resuming, Refusal> {
    for name in ["cursor", "last_event_id"] {
        if let Some(place) = said(name) {
            return named_place(&place, name).map(Resuming::From);
        }
    }
    let asks = said("resume").is_some_and(|resume| resume != "0");
    Ok(if asks {
        Resuming::Later
    } else {
        Resuming::Never
    })
}

/// A cursor, or the id of an event.
pub(super) fn named_place(text: &str, name: &str) -> Result<Origin, Refusal> {
    if let Some(origin) = Origin::of_event_id(text) {
        return Ok(origin);
    }
    let cursor = text.parse().map(Origin::Cursor);
    cursor.map_err(|_| {
        Refusal::Malformed(format!(
            "{name} is neither a cursor nor the id of an event (evt_…)"
        ))
    })
}
