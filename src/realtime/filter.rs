//! What a connection wants to hear of.

use crate::db::tail::Event;
use crate::dialect::Dialect;

/// Event types, as a dialect spells them; none means all but those that tell of Postrider itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    dialect: Dialect,
    types: Vec<String>,
}

impl Filter {
    /// Of these types.
    pub fn new(dialect: Dialect, types: Vec<String>) -> Self {
        Self { dialect, types }
    }

    /// Of a list separated by commas.
    pub fn of_list(dialect: Dialect, list: &str) -> Self {
        let types = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        Self::new(dialect, types.map(str::to_owned).collect())
    }

    /// The types.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// Whether an event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        if self.types.is_empty() {
            return !event.event_type.starts_with("postrider.");
        }
        self.dialect.wants(&self.types, &event.event_type)
    }
}
