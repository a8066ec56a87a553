//! What owners and operators do: instances, endpoints, dead letters. For the command line and HTTP alike.
//!
//! Secrets are sealed here, before they are written, so that no statement and no log of one ever holds them in plain.

mod endpoints;
mod instances;
mod queue;

pub use endpoints::{Change, EndpointChanges, EndpointLine};
pub use instances::{InstanceLine, NewInstance};
pub use queue::{AttemptLine, DeadLetter, QueueLine, Requeue, TestResult};
