//! What requests about webhooks say.

use serde::Deserialize;
use utoipa::ToSchema;

/// Makes a webhook.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewCodechatWebhook {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 255)]
    pub(super) name: String,
    /// Where callbacks go; no other webhook of the instance may have it.
    #[schema(min_length = 1, max_length = 2048, format = "uri")]
    pub(super) url: String,
    /// Whether they do.
    #[serde(default)]
    pub(super) enabled: bool,
}

/// Changes a webhook.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ChangedCodechatWebhook {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 255)]
    pub(super) name: String,
    /// Where callbacks go; left out, it stays.
    #[schema(min_length = 1, max_length = 2048, format = "uri")]
    pub(super) url: Option<String>,
    /// Whether they do; left out, they do not.
    #[serde(default)]
    pub(super) enabled: bool,
}

/// The most characters of a name.
const NAME_MAX: usize = 255;

/// Random characters at the end of a label, so that no two webhooks of an instance get the same.
const LABEL_TAIL: usize = 12;

/// Why a name cannot be taken.
pub(super) fn name_problem(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("name is empty: say what the webhook is called".to_owned());
    }
    if name.chars().count() > NAME_MAX {
        return Some(format!("name is longer than {NAME_MAX} characters"));
    }
    let control = name.chars().find(|character| character.is_control())?;
    Some(format!(
        "name has the control character {}: leave it out",
        control.escape_unicode()
    ))
}

/// The label of a new webhook: what of its name can stand in one, and a tail that makes it its own.
pub(super) fn label(name: &str, random: u64) -> String {
    let kept = name.chars().map(|character| match character {
        letter if letter.is_ascii_alphanumeric() || letter == '_' => letter,
        _ => '-',
    });
    let kept: String = kept.take(50 - 1 - LABEL_TAIL).collect();
    let kept = kept.trim_matches('-');
    let stem = if kept.is_empty() { "webhook" } else { kept };
    format!("{stem}-{:012x}", random & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_legal_whatever_the_name_is() {
        let check = |name: &str, expected: &str| assert_eq!(label(name, 0xa1), expected);
        check("CRM", "CRM-0000000000a1");
        check("My \"first\" hook", "My--first--hook-0000000000a1");
        check("日本", "webhook-0000000000a1");
        check(
            &"x".repeat(300),
            &format!("{}-0000000000a1", "x".repeat(37)),
        );
        assert_eq!(label(&"x".repeat(300), u64::MAX).len(), 50);
    }

    #[test]
    fn a_name_is_some_text_on_one_line() {
        assert_eq!(name_problem("Ünï'; drop table x; --"), None);
        for name in ["", "  ", "a\nb", "a\0b", &"é".repeat(256)] {
            assert!(name_problem(name).is_some(), "{name:?}");
        }
        assert_eq!(name_problem(&"é".repeat(255)), None);
    }
}
