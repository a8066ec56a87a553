//! `[database]`: where Postgres is, or where our own one lives.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::check::Check;
use super::fields;

/// Where the database is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// None: a private Postgres is started, see `embedded`.
    #[serde(deserialize_with = "fields::secret")]
    pub url: Option<SecretString>,
    /// Past the pooler; where it is set, it is the one we use.
    #[serde(deserialize_with = "fields::secret")]
    pub direct_url: Option<SecretString>,
    /// Open connections at most.
    pub connections_max: u32,
    /// Kept open when idle.
    pub connections_min: u32,
    /// How long to wait for a free connection.
    #[serde(
        rename = "acquire_timeout_ms",
        deserialize_with = "fields::milliseconds"
    )]
    pub acquire_timeout: Duration,
    /// Our own Postgres.
    pub embedded: Embedded,
}

/// Our own Postgres, where no URL is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// Where its data lies; none for the usual place.
    #[serde(deserialize_with = "fields::path")]
    pub data_dir: Option<PathBuf>,
    /// Where `initdb` and `postgres` lie; none to search.
    #[serde(deserialize_with = "fields::path")]
    pub bin_dir: Option<PathBuf>,
}

impl Database {
    /// The URL to use and its key: a way past the pooler, where there is one, is the better one for everything we do, for
    /// what is prepared there lasts and what wakes us arrives. None: a private Postgres.
    pub fn named(&self) -> Option<(&'static str, &SecretString)> {
        let direct = self.direct_url.as_ref();
        let direct = direct.map(|url| ("database.direct_url", url));
        direct.or_else(|| self.url.as_ref().map(|url| ("database.url", url)))
    }

    /// Limits.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        for (key, url) in [
            ("database.url", &self.url),
            ("database.direct_url", &self.direct_url),
        ] {
            let usable = url
                .as_ref()
                .is_none_or(|url| is_postgres(url.expose_secret()));
            check.require(
                usable,
                key,
                "not a Postgres URL; write postgres://user:password@host:5432/name",
            );
        }
        // Doorbell, claims, completions and leases each want one at the same time.
        check.range("database.connections_max", self.connections_max, 4..=1000);
        check.range(
            "database.connections_min",
            self.connections_min,
            0..=self.connections_max,
        );
    }
}

/// Whether it is a URL for Postgres. Whether it works, only connecting tells.
fn is_postgres(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql"))
}
