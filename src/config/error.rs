//! What is wrong with a configuration: the place, the key, the problem and the remedy. Never a secret.

use std::fmt;

use figment::error::Kind;

use super::print::is_secret;
use super::sources::ENVIRONMENT;

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A file's name, `environment` or `flags`.
    pub place: String,
    /// The key, variable or flag; a line where the file cannot be parsed.
    pub key: String,
    /// What is wrong, and the remedy.
    pub problem: String,
}

impl Fault {
    /// From its parts.
    pub(super) fn new(place: &str, key: &str, problem: String) -> Self {
        Self {
            place: place.into(),
            key: key.into(),
            problem,
        }
    }

    /// For a key whose value came from `origin`: a file, a variable or a flag.
    pub(super) fn at(origin: Option<&str>, key: &str, problem: String) -> Self {
        match origin {
            Some(origin) if origin.starts_with(ENVIRONMENT) => {
                Self::new("environment", &origin[ENVIRONMENT.len()..], problem)
            }
            Some(origin) if origin.starts_with("--") => Self::new("flags", origin, problem),
            Some(origin) => Self::new(origin, key, problem),
            None => Self::new("configuration", key, problem),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.place, self.key, self.problem)
    }
}

/// A configuration that cannot be used: one line for each fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub Vec<Fault>);

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl Error {
    /// From what figment says about types.
    pub(super) fn from_figment(error: figment::Error) -> Self {
        Self(error.into_iter().map(fault).collect())
    }
}

/// One of figment's errors as ours.
fn fault(error: figment::Error) -> Fault {
    let key = error.path.join(".");
    let problem = match error.kind {
        // A number where a secret's text is expected is most likely the secret, without its quotes.
        Kind::InvalidType(..) | Kind::InvalidValue(..) if is_secret(&key) => {
            "expected text in quotes".into()
        }
        kind => kind.to_string(),
    };
    let origin = error.metadata.map(|metadata| metadata.name.into_owned());
    Fault::at(origin.as_deref(), &key, problem)
}
