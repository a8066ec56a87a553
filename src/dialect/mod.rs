//! Whose API and envelope an endpoint speaks. Pure: names, suffixes and envelopes.

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Our own.
    Postrider,
    /// RyzeAPI.
    Ryze,
}

impl Dialect {
    /// The name used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postrider => "postrider",
            Self::Ryze => "ryze",
        }
    }
}
