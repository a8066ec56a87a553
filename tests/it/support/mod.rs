//! What the tests are written with.

pub(crate) mod postgres;
