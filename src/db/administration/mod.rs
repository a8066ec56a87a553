//! What owners and operators do: instances, endpoints, dead letters. For the command line and HTTP alike.
//!
//! Secrets are sealed here, before they are written, so that no statement and no log of one ever holds them in plain.

mod accounts;
mod deliveries;
mod directory;
mod endpoints;
mod events;
mod evolution;
mod instances;
mod logs;
mod patches;
mod publish;
mod queue;
mod records;
mod shown;
mod tokens;
mod walk;

pub use accounts::Account;
pub use deliveries::{DeliveryFilter, DeliveryLine};
pub use directory::{InstanceOrder, InstanceSearch, InstanceWithWebhook};
pub use endpoints::{Change, EndpointChanges, EndpointLine, EndpointRules, Existing};
pub use events::{EventFilter, EventLine};
pub use evolution::Farewell;
pub use instances::{InstanceLine, NewInstance};
pub use logs::{DeliveryLog, LogFilter};
pub use patches::{ChangeOfEvents, EndpointPatch};
pub use publish::NewEvent;
pub use queue::{AttemptLine, DeadLetter, QueueLine, Requeue, TestResult};
pub use records::{EndpointFilter, EndpointRecord, Instance};
pub use shown::{EndpointShown, ShownFilter};
pub use tokens::{NewToken, Token, TokenKind};
pub use walk::Walk;
