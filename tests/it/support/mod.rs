//! What the tests are written with.

pub(crate) mod postgres;
pub(crate) mod skip;
