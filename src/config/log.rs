//! `[log]`: what is logged, and how.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tracing_subscriber::filter::LevelFilter;

use super::check::Check;

/// What is logged, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level, or directives by module. `telemetry` parses it.
    pub level: String,
    /// Text or JSON.
    #[serde(deserialize_with = "format")]
    pub format: Format,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

impl Log {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        // A lone word that is no level is a module's name, and nothing but that module would be logged.
        let says_something = |directive: &str| {
            directive.contains(['=', '['])
                || directive.starts_with("postrider")
                || directive.parse::<LevelFilter>().is_ok()
        };
        let usable = self.level.parse::<tracing_subscriber::EnvFilter>().is_ok()
            && (self.level.trim().is_empty()
                || self.level.split(',').map(str::trim).any(says_something));
        check.require(
            usable,
            "log.level",
            "expected error, warn, info, debug or trace, or info,postrider::delivery=debug",
        );
    }
}

/// A format by its name.
fn format<'de, D: Deserializer<'de>>(from: D) -> Result<Format, D::Error> {
    match String::deserialize(from)?.as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(D::Error::custom("expected text or json")),
    }
}
