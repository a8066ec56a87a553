//! The label of a webhook: its name within an instance.

use serde::Deserialize;
use utoipa::IntoParams;

use super::fault;
use crate::http::fault::Fault;

/// What a webhook is called whose owner says nothing.
const DEFAULT: &str = "default";
/// Longer labels are refused.
const CHARACTERS_MAX: usize = 50;

/// `?label=`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LabelQuery {
    /// The webhook of this label; empty means `default`. Without it: all.
    #[param(max_length = 50, pattern = "^[A-Za-z0-9_-]*$")]
    pub(super) label: Option<String>,
}

/// A label as it is kept: where it is empty or not said, `default`.
pub(super) fn label(given: Option<&str>) -> Result<&str, Fault> {
    let label = given.filter(|label| !label.is_empty()).unwrap_or(DEFAULT);
    if label.chars().count() > CHARACTERS_MAX {
        return Err(fault::refused("label too long (max 50 chars)"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !label.bytes().all(allowed) {
        return Err(fault::refused(
            "label may only contain letters, digits, underscore or dash",
        ));
    }
    Ok(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Option<&str>, expected: Result<&str, &str>) {
        let found = label(given).map_err(|fault| fault.message);
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_label_is_short_and_plain_and_default_where_it_is_empty() {
        check(None, Ok("default"));
        check(Some(""), Ok("default"));
        check(Some("analytics-pipeline_2"), Ok("analytics-pipeline_2"));
        check(Some(&"a".repeat(50)), Ok(&"a".repeat(50)));
        check(Some(&"é".repeat(51)), Err("label too long (max 50 chars)"));
        for odd in ["a b", "a.b", "é", "a/b", "'; drop table x", " "] {
            check(
                Some(odd),
                Err("label may only contain letters, digits, underscore or dash"),
            );
        }
    }
}
