//! What a connection wants to hear of.

use crate::db::tail::Event;
use crate::dialect::Dialect;

/// Event types, as a dialect spells them; none means all but those that tell of Postrider itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    dialect: Dialect,
    types: Vec<String>,
    source: Source,
}

/// Who says what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The client, or nobody.
    Given,
    /// The configuration of the instance, which may change.
    Configured,
    /// The same; it is off, and nothing is wanted.
    Off,
}

impl Filter {
    /// Of these types.
    pub fn new(dialect: Dialect, types: Vec<String>) -> Self {
        Self {
            dialect,
            types,
            source: Source::Given,
        }
    }

    /// As an instance is configured at present: these types, or none where it is off.
    pub fn configured(dialect: Dialect, types: Option<Vec<String>>) -> Self {
        let source = match types {
            Some(_) => Source::Configured,
            None => Source::Off,
        };
        Self {
            dialect,
            types: types.unwrap_or_default(),
            source,
        }
    }

    /// Whether it changes with the configuration of the instance.
    pub fn is_configured(&self) -> bool {
        self.source != Source::Given
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
        if self.source == Source::Off {
            return false;
        }
        if self.types.is_empty() {
            return !event.event_type.starts_with("postrider.");
        }
        self.dialect.wants(&self.types, &event.event_type)
    }
}
