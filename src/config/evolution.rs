//! `[evolution]`: what a whole installation of Evolution API configures, and the names it has for it.

use std::collections::BTreeSet;

use figment::value::Value;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::check::Check;
use super::fields;
use super::sources::{ENVIRONMENT, Setting};
use crate::dialect::evolution::event;

/// Evolution API's part.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evolution {
    /// Whose word counts where its documents and the system itself differ.
    #[serde(deserialize_with = "compat")]
    pub compat: EvolutionCompat,
    /// Whether payloads and lists carry the instances' tokens.
    pub expose_token: bool,
    /// Whether sockets without an instance hear all that their key reaches.
    pub websocket_global_events: bool,
    /// One webhook for all instances.
    pub global_webhook: GlobalWebhook,
}

/// Whose word counts where Evolution API's documents and the system itself differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvolutionCompat {
    /// As it is documented.
    Documented,
    /// As version 2.3 behaves.
    Version23,
}

/// A webhook that gets the events of all instances, beside their own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalWebhook {
    /// Whether it is.
    pub enabled: bool,
    /// Where it is.
    #[serde(deserialize_with = "fields::text")]
    pub url: Option<String>,
    /// Whether the event is appended to the URL.
    pub by_events: bool,
    /// What it gets, as the API names events; nothing else.
    pub events: Vec<String>,
}

impl Evolution {
    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        let webhook = &self.global_webhook;
        check.require(
            !webhook.enabled || webhook.url.is_some(),
            "evolution.global_webhook.url",
            "it is enabled and goes nowhere; set WEBHOOK_GLOBAL_URL, or WEBHOOK_GLOBAL_ENABLED to false",
        );
        let is_http = |url: &String| {
            url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        };
        check.require(
            webhook.url.as_ref().is_none_or(is_http),
            "evolution.global_webhook.url",
            "expected http://… or https://…",
        );
        check.require(
            webhook.events.iter().all(|name| event(name).is_some()),
            "evolution.global_webhook.events",
            "expected names such as MESSAGES_UPSERT; `postrider config --reference` tells which there are",
        );
    }
}

impl GlobalWebhook {
    /// What it gets, as events are called on the wire.
    pub fn event_names(&self) -> Vec<String> {
        let known = self.events.iter().filter_map(|name| event(name));
        let names: BTreeSet<&str> = known.collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

/// A version by its name.
fn compat<'de, D: Deserializer<'de>>(from: D) -> Result<EvolutionCompat, D::Error> {
    match String::deserialize(from)?.as_str() {
        "" => Ok(EvolutionCompat::Documented),
        "evolution-2.3" => Ok(EvolutionCompat::Version23),
        _ => Err(D::Error::custom("expected evolution-2.3, or nothing")),
    }
}

/// Evolution API's own names of variables, and our keys for them. Only `true` is true in the first list.
const SWITCHES: [(&str, &str); 4] = [
    ("WEBHOOK_GLOBAL_ENABLED", "evolution.global_webhook.enabled"),
    (
        "WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS",
        "evolution.global_webhook.by_events",
    ),
    (
        "WEBSOCKET_GLOBAL_EVENTS",
        "evolution.websocket_global_events",
    ),
    (
        "AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES",
        "evolution.expose_token",
    ),
];
const TEXTS: [(&str, &str); 2] = [
    ("WEBHOOK_GLOBAL_URL", "evolution.global_webhook.url"),
    ("SERVER_URL", "http.public_url"),
];

/// What the environment says in Evolution API's own words. Weaker than all of ours.
pub(super) fn settings(variables: &[(String, String)]) -> Vec<Setting> {
    let given = |wanted: &str| {
        let mut given = variables.iter().filter(|(_, text)| !text.is_empty());
        given.find_map(|(name, text)| (name == wanted).then_some(text.as_str()))
    };
    let switches = SWITCHES.iter().filter_map(|(name, key)| {
        let on = given(name)?.trim() == "true";
        Some(setting(name, key, Value::from(on)))
    });
    let texts = TEXTS
        .iter()
        .filter_map(|(name, key)| Some(setting(name, key, Value::from(given(name)?.trim()))));
    let level = given("LOG_LEVEL").and_then(level);
    let level = level.map(|level| setting("LOG_LEVEL", "log.level", Value::from(level)));
    switches
        .chain(texts)
        .chain(level)
        .chain(events(variables))
        .collect()
}

/// `WEBHOOK_EVENTS_MESSAGES_UPSERT=true` and its like, as one list. What is no event of ours (`ERRORS`) is passed over.
fn events(variables: &[(String, String)]) -> Option<Setting> {
    let named = variables
        .iter()
        .filter_map(|(name, text)| Some((name.strip_prefix("WEBHOOK_EVENTS_")?, text.trim())));
    let known: Vec<_> = named.filter(|(name, _)| event(name).is_some()).collect();
    let on = known.iter().filter(|(_, text)| *text == "true");
    let on: Vec<Value> = on.map(|(name, _)| Value::from(*name)).collect();
    let said = !known.is_empty();
    said.then(|| {
        setting(
            "WEBHOOK_EVENTS_…",
            "evolution.global_webhook.events",
            Value::from(on),
        )
    })
}

/// `ERROR,WARN,DEBUG,INFO,LOG,VERBOSE,DARK,WEBHOOKS` as our own level. None where no word of it is known: it is a common name,
/// and may be meant for somebody else.
fn level(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(',')
        .map(|word| word.trim().to_uppercase())
        .collect();
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let level = if has(&["DEBUG", "VERBOSE", "DARK"]) {
        "info,postrider=debug"
    } else if has(&["INFO", "LOG"]) {
        "info"
    } else if has(&["WARN"]) {
        "warn"
    } else if has(&["ERROR", "WEBHOOKS"]) {
        "error"
    } else {
        return None;
    };
    let webhooks = if has(&["WEBHOOKS"]) {
        ",postrider::delivery=debug,postrider::channels=debug"
    } else {
        ""
    };
    Some(format!("{level}{webhooks}"))
}

/// One value.
fn setting(name: &str, key: &str, value: Value) -> Setting {
    Setting {
        origin: format!("{ENVIRONMENT}{name}"),
        key: key.to_owned(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Error, Sources, load};
    use super::EvolutionCompat;

    /// The configuration under these variables.
    fn under(variables: &[(&str, &str)]) -> Result<Config, Error> {
        let pairs = variables.iter();
        let environment = pairs.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let sources = Sources {
            environment: environment.collect(),
            ..Sources::default()
        };
        load(sources).map(|loaded| loaded.config)
    }

    #[test]
    fn the_global_webhook_is_configured_by_the_names_of_evolution_api() {
        let config = under(&[
            ("WEBHOOK_GLOBAL_ENABLED", "true"),
            (
                "WEBHOOK_GLOBAL_URL",
                "https://api.example.com/global-webhook",
            ),
            ("WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS", "false"),
            ("WEBHOOK_EVENTS_MESSAGES_UPSERT", "true"),
            ("WEBHOOK_EVENTS_GROUPS_UPDATE", "true"),
            ("WEBHOOK_EVENTS_INSTANCE_CREATE", "false"),
            ("WEBHOOK_EVENTS_ERRORS", "true"),
            ("WEBSOCKET_GLOBAL_EVENTS", "true"),
            ("SERVER_URL", "https://api.example.com"),
            ("AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES", "false"),
        ])
        .unwrap();
        let webhook = &config.evolution.global_webhook;
        assert!(webhook.enabled && !webhook.by_events && !config.evolution.expose_token);
        assert!(config.evolution.websocket_global_events);
        assert_eq!(
            webhook.url.as_deref(),
            Some("https://api.example.com/global-webhook")
        );
        assert_eq!(webhook.event_names(), ["groups.update", "messages.upsert"]);
        assert_eq!(
            config.http.public_url.as_deref(),
            Some("https://api.example.com")
        );
    }

    #[test]
    fn our_own_names_are_stronger() {
        let config = under(&[
            ("POSTRIDER_EVOLUTION__GLOBAL_WEBHOOK__ENABLED", "false"),
            ("WEBHOOK_GLOBAL_ENABLED", "true"),
            ("POSTRIDER_EVOLUTION__GLOBAL_WEBHOOK__EVENTS", "CALL"),
            ("WEBHOOK_EVENTS_MESSAGES_UPSERT", "true"),
            ("POSTRIDER_EVOLUTION__COMPAT", "evolution-2.3"),
            ("LOG_LEVEL", "DEBUG"),
            ("RUST_LOG", "warn"),
        ])
        .unwrap();
        assert!(!config.evolution.global_webhook.enabled);
        assert_eq!(config.evolution.global_webhook.event_names(), ["call"]);
        assert_eq!(config.evolution.compat, EvolutionCompat::Version23);
        assert_eq!(config.log.level, "warn");
    }

    #[test]
    fn the_log_level_is_read_in_its_form() {
        let check = |text: &str, expected: &str| {
            assert_eq!(under(&[("LOG_LEVEL", text)]).unwrap().log.level, expected);
        };
        check(
            "ERROR,WARN,DEBUG,INFO,LOG,VERBOSE,DARK,WEBHOOKS",
            "info,postrider=debug,postrider::delivery=debug,postrider::channels=debug",
        );
        check("ERROR,WARN", "warn");
        check("ERROR", "error");
        check("error, info", "info");
        check("notice", "info");
        check("8", "info");
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let check = |variables: &[(&str, &str)], expected: &str| {
            let error = under(variables).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&[("WEBHOOK_GLOBAL_ENABLED", "true")], "WEBHOOK_GLOBAL_URL");
        check(&[("WEBHOOK_GLOBAL_URL", "ftp://x")], "expected http://");
        check(
            &[("POSTRIDER_EVOLUTION_COMPAT", "2.2")],
            "expected evolution-2.3",
        );
        check(
            &[(
                "POSTRIDER_EVOLUTION_GLOBAL_WEBHOOK_EVENTS",
                "MESSAGES_UPSRT",
            )],
            "expected names such as MESSAGES_UPSERT",
        );
    }
}
