//! The HTTP APIs.

mod door;
