//! The tail of the event log: nothing lost, nothing twice.

mod chaos;
mod resuming;
mod steps;
