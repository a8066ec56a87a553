//! The HTTP APIs.

mod door;
mod ryze;
