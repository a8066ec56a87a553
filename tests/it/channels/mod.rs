//! The ways out, against real receivers.

mod webhook;
