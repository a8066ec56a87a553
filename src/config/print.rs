//! `postrider config`: what is in force, secrets masked.

use std::fmt::Write;

use figment::Figment;
use figment::value::Value;
use url::Url;

use super::reference;

/// What stands for a secret.
const MASK: &str = "***";

/// All keys as TOML, in the order of the reference; what is no default with its origin.
pub(super) fn in_force(layers: &Figment) -> String {
    let mut page =
        String::from("# In force. What is not marked is the default; secrets are masked.\n");
    let mut current = "";
    for key in reference::keys() {
        let (section, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
        if section != current {
            current = section;
            let _ = writeln!(page, "\n[{section}]");
        }
        let Ok(value) = layers.find_value(&key.path) else {
            continue;
        };
        let shown = shown(&key.path, &value);
        let origin = layers
            .find_metadata(&key.path)
            .map_or("default.toml", |metadata| metadata.name.as_ref());
        let mark = if origin == "default.toml" {
            String::new()
        } else {
            format!("  # {origin}")
        };
        let _ = writeln!(page, "{name} = {shown}{mark}");
    }
    page
}

/// One value as TOML, masked where its key says so.
fn shown(key: &str, value: &Value) -> String {
    let masked = match value {
        Value::String(_, text) if !text.is_empty() && is_secret(key) => {
            Value::from(mask(key, text))
        }
        Value::Array(_, items) if is_secret(key) => {
            Value::from(vec![Value::from(MASK); items.len()])
        }
        other => other.clone(),
    };
    toml::Value::try_from(&masked).map_or_else(|_| format!("{MASK:?}"), |value| value.to_string())
}

/// Whether a key holds something that must not be shown. By name, so that a new section cannot forget to say so.
pub(super) fn is_secret(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key);
    let word = name.rsplit('_').next().unwrap_or(name);
    [
        "key", "keys", "secret", "secrets", "password", "token", "tokens", "url", "uri",
    ]
    .contains(&word)
}

/// A secret as it may be shown: of an address all but the credentials, of anything else nothing.
fn mask(key: &str, text: &str) -> String {
    if !(key.ends_with("url") || key.ends_with("uri")) {
        return MASK.into();
    }
    let Ok(mut url) = Url::parse(text) else {
        return MASK.into();
    };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.into();
    }
    let harmless = |name: &str| {
        [
            "sslmode",
            "host",
            "port",
            "application_name",
            "options",
            "dbname",
        ]
        .contains(&name)
    };
    if url.query().is_some() {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let shown = pairs
            .iter()
            .map(|(name, value)| (name, if harmless(name) { value.as_str() } else { MASK }));
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::mask;
    use crate::config::{Config, File, Sources, load};

    #[test]
    fn of_an_address_all_but_the_credentials_is_shown() {
        let check = |text: &str, expected: &str| assert_eq!(mask("database.url", text), expected);
        check(
            "postgres://app:hunter2@db:5432/x?sslmode=require",
            "postgres://app:***@db:5432/x?sslmode=require",
        );
        check(
            "postgres://app@db/x?password=hunter2",
            "postgres://app@db/x?password=***",
        );
        check("host=db password=hunter2", "***");
    }

    #[test]
    fn what_is_printed_can_be_loaded_again() {
        let mut sources = Sources::default();
        sources.flag("--log-level", "log.level", "debug");
        let page = load(sources).unwrap().to_toml();
        assert!(
            page.contains("level = \"debug\"  # --log-level\n"),
            "{page}"
        );
        let file = File {
            name: "again.toml".into(),
            text: page,
        };
        let again = load(Sources {
            file: Some(file),
            ..Sources::default()
        })
        .unwrap()
        .config;
        assert_eq!(
            format!("{:?}", again.worker),
            format!("{:?}", Config::default().worker)
        );
        assert_eq!(again.log.level, "debug");
    }

    #[test]
    fn secrets_are_masked() {
        let environment = [
            ("ENCRYPTION_KEY", "71".repeat(32)),
            (
                "ENCRYPTION_KEY_OLD",
                format!("{},{}", "72".repeat(32), "73".repeat(32)),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let sources = Sources {
            environment,
            ..Sources::default()
        };
        let page = load(sources).unwrap().to_toml();
        assert!(!page.contains("7171") && !page.contains("7272"), "{page}");
        assert!(
            page.contains("old_keys = [\"***\", \"***\"]  # environment: ENCRYPTION_KEY_OLD"),
            "{page}"
        );
    }
}
