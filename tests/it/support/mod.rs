//! What the tests are written with.

pub(crate) mod api;
pub(crate) mod app;
pub(crate) mod authority;
pub(crate) mod curl;
pub(crate) mod document;
pub(crate) mod endpoint;
pub(crate) mod fetched;
pub(crate) mod node;
pub(crate) mod oracle;
pub(crate) mod package;
pub(crate) mod pooler;
pub(crate) mod postgres;
pub(crate) mod promtool;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod receiver;
pub(crate) mod skip;
pub(crate) mod wait;
pub(crate) mod worker;
