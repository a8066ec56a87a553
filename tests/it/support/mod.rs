//! What the tests are written with.

pub(crate) mod authority;
pub(crate) mod postgres;
pub(crate) mod receiver;
pub(crate) mod skip;
