//! The labels and all their values.

use super::registry::Label;
use crate::model::{Channel, Class, Outcome};

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// Confirmed by the far side.
    Delivered,
    /// Not confirmed.
    Failed(Class),
}

impl From<&Outcome> for AttemptResult {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Delivered(_) => Self::Delivered,
            Outcome::Failed(failure) => Self::Failed(failure.class),
        }
    }
}

/// `delivered`, then every class of failure.
const RESULTS: [AttemptResult; Class::ALL.len() + 1] = {
    let mut results = [AttemptResult::Delivered; Class::ALL.len() + 1];
    let mut at = 0;
    while at < Class::ALL.len() {
        results[at + 1] = AttemptResult::Failed(Class::ALL[at]);
        at += 1;
    }
    results
};

impl Label for AttemptResult {
    const KEY: &'static str = "result";
    const ALL: &'static [Self] = &RESULTS;

    fn index(self) -> usize {
        match self {
            Self::Delivered => 0,
            Self::Failed(class) => 1 + class as usize,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed(class) => class.as_str(),
        }
    }
}

/// Whether a delivery had been tried before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// Never: how late it is says how fast we are, and for how long its endpoint was held.
    First,
    /// It failed before, or an operator sent it anew: how late it is says how long its receiver was out of order.
    Again,
}

impl Label for Tries {
    const KEY: &'static str = "tried";
    const ALL: &'static [Self] = &[Self::First, Self::Again];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Again => "again",
        }
    }
}

impl Label for Channel {
    const KEY: &'static str = "channel";
    const ALL: &'static [Self] = &[Self::Webhook];

    fn index(self) -> usize {
        // A match, so that a new channel does not compile before it stands in ALL.
        match self {
            Self::Webhook => 0,
        }
    }

    fn name(self) -> &'static str {
        self.as_str()
    }
}

/// The status of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowStatus {
    /// Waiting, or in flight under a lease.
    Pending,
    /// Done.
    Delivered,
    /// A dead letter.
    Failed,
}

impl Label for RowStatus {
    const KEY: &'static str = "status";
    const ALL: &'static [Self] = &[Self::Pending, Self::Delivered, Self::Failed];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// The state of an endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Deliveries pass.
    Closed,
    /// Deliveries wait.
    Open,
    /// One passes, to see.
    Probing,
}

impl Label for BreakerState {
    const KEY: &'static str = "state";
    const ALL: &'static [Self] = &[Self::Closed, Self::Open, Self::Probing];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// Why a claimed row was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnReason {
    /// Its endpoint has all it may have in flight.
    Limit,
    /// Its endpoint's breaker is open.
    Breaker,
    /// Its endpoint is paused, disabled, or its secret cannot be opened.
    Held,
    /// Workers died over it, and another such delivery is being tried.
    Suspect,
    /// The worker is shutting down.
    Shutdown,
}

impl Label for ReturnReason {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::Limit,
        Self::Breaker,
        Self::Held,
        Self::Suspect,
        Self::Shutdown,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Breaker => "breaker",
            Self::Held => "held",
            Self::Suspect => "suspect",
            Self::Shutdown => "shutdown",
        }
    }
}

/// How a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFailure {
    /// No connection, or it broke.
    Connection,
    /// No free connection, or the statement took too long.
    Timeout,
    /// A deadlock or a serialization failure: worth another try.
    Conflict,
    /// Anything else.
    Other,
}

impl Label for DatabaseFailure {
    const KEY: &'static str = "kind";
    const ALL: &'static [Self] = &[Self::Connection, Self::Timeout, Self::Conflict, Self::Other];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::{
        AttemptResult, BreakerState, Channel, DatabaseFailure, Label, ReturnReason, RowStatus,
        Tries,
    };

    /// Asserts that each value is found where it stands.
    fn check<L: Label + PartialEq + Debug>() {
        for (at, label) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), at, "{label:?}");
        }
    }

    #[test]
    fn every_label_is_found_where_it_stands() {
        check::<AttemptResult>();
        check::<BreakerState>();
        check::<Channel>();
        check::<DatabaseFailure>();
        check::<ReturnReason>();
        check::<RowStatus>();
        check::<Tries>();
    }
}
