//! Secrets at rest. Nothing here shows one.

use super::finding::Finding;
use crate::crypto::Keyring;
use crate::db::doctor::Secrets;

/// The key, and what is stored.
pub(super) fn secrets(keyring: &Keyring, stored: &[Secrets]) -> Vec<Finding> {
    let mut findings: Vec<_> = stored
        .iter()
        .filter_map(|secrets| {
            let error = keyring.open(secrets.text.as_deref()?).err()?;
            Some(Finding::failure(
                "encryption",
                format!(
                    "{} {} cannot be opened: {error}",
                    secrets.rows, secrets.place
                ),
                "set ENCRYPTION_KEY to the key that sealed them, or add it to ENCRYPTION_KEY_OLD",
            ))
        })
        .collect();
    let plain: Vec<String> = stored
        .iter()
        .filter(|secrets| secrets.text.is_none())
        .map(|secrets| format!("{} {}", secrets.rows, secrets.place))
        .collect();
    if keyring.can_seal() {
        if plain.is_empty() {
            findings.push(Finding::ok(
                "encryption",
                "there is a key, and nothing rests in plain",
            ));
        } else {
            findings.push(Finding::warning(
                "encryption",
                format!("in plain at rest: {}", plain.join(", ")),
                "a running worker with this key seals them within 5 s: postrider serve",
            ));
        }
    } else {
        let what = if plain.is_empty() {
            "whatever secret comes will rest in plain".to_owned()
        } else {
            format!("in plain at rest: {}", plain.join(", "))
        };
        findings.push(Finding::warning(
            "encryption",
            format!("there is no encryption key; {what}"),
            "ENCRYPTION_KEY=$(openssl rand -base64 32), kept outside Postgres, for every process of ours",
        ));
    }
    findings
}
