//! Whether this process can do its work: named conditions, each met or with the reason why not.
//!
//! Whoever is responsible for a condition holds it and says so; `/readyz` only reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// All conditions. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// By name: why it is not met, or none.
    conditions: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

/// One condition.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Its name.
    name: &'static str,
    /// Where it is kept.
    readiness: Readiness,
}

impl Readiness {
    /// Adds a condition, not met yet. Its reason must hold no secret: whoever may ask sees it.
    pub fn condition(&self, name: &'static str, reason: &str) -> Condition {
        let condition = Condition {
            name,
            readiness: self.clone(),
        };
        condition.unmet(reason);
        condition
    }

    /// The conditions that are not met, with their reasons. Empty: ready.
    pub fn unmet(&self) -> Vec<(&'static str, String)> {
        let conditions = self
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Who has not said yet what it waits for has only begun.
        if conditions.is_empty() {
            return vec![("process", "starting".to_owned())];
        }
        conditions
            .iter()
            .filter_map(|(name, reason)| Some((*name, reason.clone()?)))
            .collect()
    }

    /// Sets a condition.
    fn set(&self, name: &'static str, reason: Option<String>) {
        self.conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, reason);
    }
}

impl Condition {
    /// It is met.
    pub fn met(&self) {
        self.readiness.set(self.name, None);
    }

    /// It is not, or no longer.
    pub fn unmet(&self, reason: &str) {
        self.readiness.set(self.name, Some(reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn it_is_ready_when_every_condition_is_met() {
        let readiness = Readiness::default();
        assert_eq!(readiness.unmet(), [("process", "starting".to_owned())]);
        let database = readiness.condition("database", "not connected yet");
        let worker = readiness.condition("worker", "starting");
        worker.met();
        assert_eq!(
            readiness.unmet(),
            [("database", "not connected yet".to_owned())]
        );
        database.met();
        assert!(readiness.unmet().is_empty());
        worker.unmet("stopped");
        assert_eq!(readiness.unmet(), [("worker", "stopped".to_owned())]);
    }
}
