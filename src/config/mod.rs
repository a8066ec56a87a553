//! Configuration: `default.toml` ← `postrider.toml` ← environment ← flags, checked and typed.
//!
//! `default.toml` beside this file is built in and is the reference: a key that is not there does not exist, and no
//! default stands anywhere else. Nothing here reads a file or the environment: `cli` gathers [`Sources`].
//!
//! A new key: a commented line in `default.toml`, a field in its section's file, a check where it has limits.

mod api;
mod check;
mod database;
mod doorbell;
mod egress;
mod encryption;
mod environment;
mod error;
mod evolution;
mod fields;
mod http;
mod ingest;
mod limits;
mod log;
mod print;
mod realtime;
mod reference;
mod retention;
mod sources;
mod tokens;
mod worker;

pub use api::Api;
pub use database::{Database, Embedded};
pub use doorbell::Doorbell;
pub use egress::Egress;
pub use encryption::Encryption;
pub use error::{Error, Fault};
pub use evolution::{Evolution, EvolutionCompat, GlobalWebhook};
pub use http::Http;
pub use ingest::Ingest;
pub use limits::Limits;
pub use log::{Format, Log};
pub use realtime::Realtime;
pub use reference::TEXT as REFERENCE;
pub use retention::Retention;
pub use sources::{File, Sources};
pub use tokens::ConfiguredTokens;
pub use worker::{Breaker, Worker};

use figment::Figment;
use serde::Deserialize;

use check::Check;

/// Everything that can be configured. Cheap to share behind an `Arc`; `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the database is.
    pub database: Database,
    /// The HTTP listener.
    pub http: Http,
    /// Who may call it.
    pub api: Api,
    /// Evolution API's part.
    pub evolution: Evolution,
    /// Deliveries.
    pub worker: Worker,
    /// Waking up.
    pub doorbell: Doorbell,
    /// Sockets.
    pub realtime: Realtime,
    /// NOTIFY to events.
    pub ingest: Ingest,
    /// What is kept, and for how long.
    pub retention: Retention,
    /// What deliveries may reach.
    pub egress: Egress,
    /// Secrets at rest.
    pub encryption: Encryption,
    /// Sizes.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        load(Sources::default())
            .expect("default.toml is valid: a test says so")
            .config
    }
}

/// The configuration in force, and where each value came from. The layers hold secrets, so no derived `Debug`.
pub struct Loaded {
    /// Typed and checked.
    pub config: Config,
    /// The merged layers, for their origins.
    layers: Figment,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Loaded")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// What is in force as TOML, in the order of the reference, secrets masked, each value that is no default with its origin.
    pub fn to_toml(&self) -> String {
        print::in_force(&self.layers)
    }
}

/// Merges the layers, types them and checks them. All faults of a kind are reported at once.
pub fn load(sources: Sources) -> Result<Loaded, Error> {
    let layers = sources::merge(sources)?;
    let config: Config = layers.extract().map_err(Error::from_figment)?;
    config.check(&layers)?;
    Ok(Loaded { config, layers })
}

impl Config {
    /// Limits that types cannot say.
    fn check(&self, layers: &Figment) -> Result<(), Error> {
        let mut check = Check::new(layers);
        self.database.check(&mut check);
        self.http.check(&mut check);
        self.api.check(&mut check);
        self.evolution.check(&mut check);
        self.worker.check(&mut check);
        self.doorbell.check(&mut check);
        self.realtime.check(&mut check);
        self.ingest.check(&mut check);
        self.retention.check(&mut check);
        self.encryption.check(&mut check);
        self.limits.check(&mut check);
        self.log.check(&mut check);
        check.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret;

    use super::{Config, File, Loaded, Sources, load};

    const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const OTHER_KEY: &str = "0202020202020202020202020202020202020202020202020202020202020202";

    /// Loads a file and variables.
    fn with(file: &str, variables: &[(&str, &str)]) -> Result<Loaded, super::Error> {
        load(Sources {
            file: (!file.is_empty()).then(|| File {
                name: "postrider.toml".into(),
                text: file.into(),
            }),
            environment: variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            flags: Vec::new(),
        })
    }

    /// Asserts that loading fails, and with which message.
    fn fails(file: &str, variables: &[(&str, &str)], message: &str) {
        let error = with(file, variables)
            .expect_err("it must not load")
            .to_string();
        assert_eq!(error, message);
    }

    #[test]
    fn the_defaults_are_valid_and_as_documented() {
        let config = Config::default();
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        assert!(config.database.url.is_none());
        assert_eq!(config.worker.lease, Duration::from_secs(90));
        assert_eq!(
            config.worker.auto_disable,
            Some(Duration::from_hours(5 * 24))
        );
        assert_eq!(config.retention.failed, None);
        assert_eq!(config.limits.payload_bytes_max, 12 * 1024 * 1024);
    }

    #[test]
    fn later_layers_win() {
        let file = "[worker]\nlease_s = 60\ndrain_s = 5\n[http]\nlisten = '127.0.0.1:1'";
        let mut sources = Sources {
            file: Some(File {
                name: "postrider.toml".into(),
                text: file.into(),
            }),
            environment: vec![
                ("POSTRIDER_WORKER__DRAIN_S".into(), "6".into()),
                ("POSTRIDER_HTTP_LISTEN".into(), "127.0.0.1:2".into()),
                ("DATABASE_URL".into(), "postgres://a@one/x".into()),
                (
                    "POSTRIDER_DATABASE__URL".into(),
                    "postgres://a@two/x".into(),
                ),
            ],
            flags: Vec::new(),
        };
        let config = load(sources.clone()).unwrap().config;
        assert_eq!(config.worker.lease, Duration::from_mins(1));
        assert_eq!(config.worker.drain, Duration::from_secs(6));
        assert_eq!(config.http.listen.port(), 2);
        assert_eq!(
            config.database.url.unwrap().expose_secret(),
            "postgres://a@two/x"
        );
        sources.flag("--database-url", "database.url", "postgres://a@three/x");
        assert_eq!(
            load(sources)
                .unwrap()
                .config
                .database
                .url
                .unwrap()
                .expose_secret(),
            "postgres://a@three/x"
        );
    }

    #[test]
    fn lists_come_comma_separated_from_the_environment() {
        let config = with(
            "",
            &[
                ("ENCRYPTION_KEY_OLD", &format!("{KEY}, {OTHER_KEY}")),
                ("POSTRIDER_EGRESS__ALLOW", "127.0.0.1,10.0.0.0/8"),
            ],
        )
        .unwrap()
        .config;
        assert_eq!(config.encryption.old_keys.len(), 2);
        assert_eq!(config.encryption.old_keys[1].expose_secret(), OTHER_KEY);
        assert_eq!(config.egress.allow[0].to_string(), "127.0.0.1/32");
    }

    #[test]
    fn a_numeric_secret_stays_text() {
        let digits = "12".repeat(32);
        let config = with("", &[("ENCRYPTION_KEY", &digits)]).unwrap().config;
        assert_eq!(config.encryption.key.unwrap().expose_secret(), digits);
    }

    #[test]
    fn an_unknown_key_names_the_file_and_the_nearest_key() {
        fails(
            "[worker]\nlease = 5\n[htp]\nlisten = ''",
            &[],
            "postrider.toml: worker.lease: there is no such key; did you mean worker.lease_s?\n\
             postrider.toml: htp: there is no such section; did you mean http?",
        );
        fails(
            "[http]\nlease_s = 5",
            &[],
            "postrider.toml: http.lease_s: there is no such key; did you mean worker.lease_s?",
        );
    }

    #[test]
    fn an_unknown_variable_names_the_nearest_one() {
        fails(
            "",
            &[("POSTRIDER_WORKER__LEASE", "5")],
            "environment: POSTRIDER_WORKER__LEASE: there is no such variable; did you mean POSTRIDER_WORKER__LEASE_S?",
        );
    }

    #[test]
    fn variables_that_kubernetes_adds_for_services_are_ignored() {
        let variables = [
            ("POSTRIDER_SERVICE_HOST", "10.0.0.1"),
            ("POSTRIDER_SERVICE_PORT_HTTP", "8080"),
            ("POSTRIDER_PORT", "tcp://10.0.0.1:8080"),
            ("POSTRIDER_WORKER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ];
        assert!(with("", &variables).is_ok());
    }

    #[test]
    fn wrong_types_and_values_name_the_place_and_the_remedy() {
        fails(
            "",
            &[("POSTRIDER_WORKER__LEASE_S", "soon")],
            "environment: POSTRIDER_WORKER__LEASE_S: expected a number",
        );
        fails(
            "[http]\nlisten = 'localhost'",
            &[],
            "postrider.toml: http.listen: expected an address and a port, such as 127.0.0.1:8080 or [::1]:8080",
        );
        fails(
            "[worker]\nclaim_batch_max = 0\nlease_s = 6",
            &[],
            "postrider.toml: worker.claim_batch_max: 0 is not between 1 and 5000\n\
             postrider.toml: worker.lease_s: a lease must outlast two attempts (timeout_ms); raise it to 10 or more",
        );
        fails(
            "[worker]\nin_flight_max = -1",
            &[],
            "postrider.toml: worker.in_flight_max: invalid value signed int `-1`, expected u32",
        );
        fails(
            "[log]\nformat = 'xml'",
            &[],
            "postrider.toml: log.format: expected text or json",
        );
        // It would be taken for a module, and nothing logged but that.
        for level in ["verbose", "warning,sqlx"] {
            fails(
                &format!("[log]\nlevel = '{level}'"),
                &[],
                "postrider.toml: log.level: expected error, warn, info, debug or trace, or info,postrider::delivery=debug",
            );
        }
    }

    #[test]
    fn a_key_that_is_none_is_told_with_its_place_and_how_to_make_one() {
        let remedy = "an encryption key is 32 bytes in base64 or hex, and this is something else; make one with `openssl rand -base64 32`";
        fails(
            "[encryption]\nkey = 'hunter2'",
            &[("ENCRYPTION_KEY_OLD", &format!("{KEY},hunter3"))],
            &format!(
                "postrider.toml: encryption.key: {remedy}\n\
                 environment: ENCRYPTION_KEY_OLD: number 2 of the list: {remedy}"
            ),
        );
    }

    #[test]
    fn no_error_shows_a_secret() {
        let error = with("[encryption]\nkey = 1234567\n", &[])
            .expect_err("a number")
            .to_string();
        assert_eq!(
            error,
            "postrider.toml: encryption.key: expected text in quotes"
        );
        let error = with("[encryption]\nkey = 'hunter2\n", &[])
            .expect_err("a syntax error")
            .to_string();
        assert!(
            error.starts_with("postrider.toml: line 2, column") && !error.contains("hunter2"),
            "{error}"
        );
        let error = with("", &[("DATABASE_URL", "mysql://a:hunter2@b/c")])
            .expect_err("no postgres")
            .to_string();
        assert_eq!(
            error,
            "environment: DATABASE_URL: not a Postgres URL; write postgres://user:password@host:5432/name"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let loaded = with(
            "",
            &[
                ("ENCRYPTION_KEY", KEY),
                ("DATABASE_URL", "postgres://a:hunter3@b/c"),
            ],
        )
        .unwrap();
        let shown = format!("{loaded:?}");
        assert!(!shown.contains("hunter") && !shown.contains(KEY), "{shown}");
    }
}
