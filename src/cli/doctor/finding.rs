//! What was found, and what to do about it.

use serde::Serialize;

use crate::causes::Causes;
use crate::db::Error;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It will hurt one day.
    Warning,
    /// It hurts now.
    Failure,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) level: Level,
    /// What it means.
    pub(super) message: String,
    /// What to do, as a command where one does it.
    pub(super) remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            message: message.into(),
            remedy: None,
        }
    }

    /// Good to know.
    pub(super) fn note(
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::of(Level::Note, check, message, remedy)
    }

    /// It will hurt.
    pub(super) fn warning(
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::of(Level::Warning, check, message, remedy)
    }

    /// It hurts.
    pub(super) fn failure(
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::of(Level::Failure, check, message, remedy)
    }

    /// It could not be looked at: no reason to trust it.
    pub(super) fn unknown(check: &'static str, error: &Error) -> Self {
        Self::warning(
            check,
            format!("could not be checked: {}", Causes(error)),
            "run `postrider doctor` as the role that workers connect as",
        )
    }

    fn of(
        level: Level,
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check,
            level,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Judges facts, where there are any.
pub(super) fn judge<T>(
    check: &'static str,
    facts: Result<T, Error>,
    judgement: impl FnOnce(T) -> Vec<Finding>,
) -> Vec<Finding> {
    match facts {
        Ok(facts) => judgement(facts),
        Err(error) => vec![Finding::unknown(check, &error)],
    }
}

/// A length of time, roughly.
pub(super) fn ago(seconds: f64) -> String {
    for (unit, length) in [("days", 86400.0), ("h", 3600.0), ("min", 60.0)] {
        if seconds >= 2.0 * length {
            return format!("{:.0} {unit}", seconds / length);
        }
    }
    format!("{seconds:.0} s")
}

/// A size, roughly.
pub(super) fn size(bytes: i64) -> String {
    const MIB: i64 = 1024 * 1024;
    if bytes >= 2048 * MIB {
        format!("{} GiB", bytes / (1024 * MIB))
    } else {
        format!("{} MiB", bytes / MIB)
    }
}
