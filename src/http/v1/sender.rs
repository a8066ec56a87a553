//! What is checked of a sender, an event's or an instance's.

use crate::http::fault::Fault;

/// Longer ones are nobody's.
const SENDER_CHARACTERS_MAX: usize = 255;

/// Whether envelopes can carry it; `place` is where it stands.
pub(super) fn sender(place: impl Into<String>, text: &str) -> Result<(), Fault> {
    if text.chars().count() <= SENDER_CHARACTERS_MAX && !text.contains(char::is_control) {
        return Ok(());
    }
    let place = place.into();
    let message = format!(
        "{place} is at most {SENDER_CHARACTERS_MAX} characters without control characters, for example 5511999999999@s.whatsapp.net"
    );
    Err(Fault::invalid(place, message))
}
