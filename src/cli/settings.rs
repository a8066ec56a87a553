//! Where settings come from: finds the file, reads the environment, adds the flags.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::config::{self, Config, File, Loaded, Sources};
use crate::telemetry;

/// Used where it exists and no other is named.
const FILE: &str = "postrider.toml";

/// Flags of all commands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Globals {
    /// The configuration file that was named.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "Configuration file [default: POSTRIDER_CONFIG, else postrider.toml if it exists]"
    )]
    config: Option<PathBuf>,
    /// Postgres to use.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "Postgres to use; better DATABASE_URL, as others see a command line"
    )]
    database_url: Option<Url>,
    /// What to log: error, warn, info, debug, trace, or by module
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How to log: text, json
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    log_format: Option<LogFormat>,
}

/// A URL that may hold a password, so `Debug` does not show it.
#[derive(Clone)]
struct Url(String);

impl From<String> for Url {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

impl Globals {
    /// Loads what is in force.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        let environment = environment();
        self.load_from(self.file(&environment)?, environment)
    }

    /// Puts the layers together.
    fn load_from(
        &self,
        file: Option<File>,
        environment: Vec<(String, String)>,
    ) -> anyhow::Result<Loaded> {
        let mut sources = Sources {
            file,
            environment,
            flags: Vec::new(),
        };
        if let Some(Url(url)) = &self.database_url {
            sources.flag("--database-url", "database.url", url);
        }
        if let Some(level) = &self.log_level {
            sources.flag("--log-level", "log.level", level);
        }
        if let Some(format) = self.log_format {
            let text = match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            sources.flag("--log-format", "log.format", text);
        }
        config::load(sources).context("the configuration cannot be used")
    }

    /// Loads the reference with only these variables and the flags for logging: for a command that must not touch what is
    /// deployed. `log_level` is what it logs where nobody says otherwise.
    pub fn start_apart(&self, variables: &[&str], log_level: &str) -> anyhow::Result<Config> {
        anyhow::ensure!(
            self.config.is_none() && self.database_url.is_none(),
            "this command takes neither --config nor --database-url: it has a database of its own"
        );
        let mut environment = environment();
        environment.retain(|(name, _)| variables.contains(&&**name));
        if !environment.iter().any(|(name, _)| name == "RUST_LOG") {
            environment.push(("RUST_LOG".into(), log_level.into()));
        }
        let config = self.load_from(None, environment)?.config;
        telemetry::init(&config.log).context("starting to log")?;
        Ok(config)
    }

    /// Loads what is in force and starts logging: how most commands begin.
    pub fn start(&self) -> anyhow::Result<Config> {
        let config = self.load()?.config;
        telemetry::init(&config.log).context("starting to log")?;
        Ok(config)
    }

    /// The configuration file. One that was named must be there.
    fn file(&self, environment: &[(String, String)]) -> anyhow::Result<Option<File>> {
        let variable = environment
            .iter()
            .find(|(name, text)| name == "POSTRIDER_CONFIG" && !text.is_empty());
        let named = self
            .config
            .clone()
            .or_else(|| variable.map(|(_, path)| PathBuf::from(path)));
        let path = named.as_deref().unwrap_or(Path::new(FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(File {
                name: path.display().to_string(),
                text,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(None),
            Err(error) => {
                let fault = config::Fault {
                    place: path.display().to_string(),
                    key: "the whole file".into(),
                    problem: format!("cannot be read: {error}"),
                };
                Err(config::Error(vec![fault])).context("the configuration cannot be used")
            }
        }
    }
}

/// The whole environment. What is not UTF-8 is mended rather than dropped: a variable of ours must not vanish silently.
fn environment() -> Vec<(String, String)> {
    let text = |raw: std::ffi::OsString| raw.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
