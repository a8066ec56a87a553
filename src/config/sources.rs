//! The layers, from the reference up to the flags, merged with the name of each value's origin.

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::error::{Error, Fault};
use super::{environment, reference};

/// What `cli` found: a file's text, variables and flags. The default has none of them. Holds secrets, so no `Debug`.
#[derive(Clone, Default)]
pub struct Sources {
    /// `postrider.toml`, or the file that was named.
    pub file: Option<File>,
    /// The whole environment; what is not ours is passed over.
    pub environment: Vec<(String, String)>,
    /// Filled by [`Sources::flag`].
    pub flags: Vec<Setting>,
}

/// A configuration file, read. Holds secrets, so no `Debug`.
#[derive(Clone)]
pub struct File {
    /// As errors name it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// One value from a variable or a flag. May be a secret, so no `Debug`.
#[derive(Clone)]
pub struct Setting {
    /// As errors and `postrider config` name it: `--database-url`, `POSTRIDER_HTTP__LISTEN`.
    pub(super) origin: String,
    /// The key: `database.url`.
    pub(super) key: String,
    /// Typed as the reference has it.
    pub(super) value: Value,
}

impl Sources {
    /// Adds a flag's value, which must belong to a key that holds text.
    pub fn flag(&mut self, origin: &str, key: &str, text: &str) {
        self.flags.push(Setting {
            origin: origin.into(),
            key: key.into(),
            value: Value::from(text),
        });
    }
}

/// The prefix of the origin of everything that came from a variable.
pub(super) const ENVIRONMENT: &str = "environment: ";

/// Puts the layers on top of one another.
pub(super) fn merge(sources: Sources) -> Result<Figment, Error> {
    let mut layers = Figment::new().merge(Layer::new("default.toml", reference::table())?);
    let mut faults = Vec::new();
    if let Some(file) = sources.file {
        match read(&file) {
            Ok(layer) => layers = layers.merge(layer),
            Err(Error(found)) => faults.extend(found),
        }
    }
    match environment::settings(&sources.environment) {
        Ok(settings) => layers = settings.into_iter().fold(layers, Figment::merge),
        Err(Error(found)) => faults.extend(found),
    }
    if !faults.is_empty() {
        return Err(Error(faults));
    }
    Ok(sources.flags.into_iter().fold(layers, Figment::merge))
}

/// Parses a file and refuses keys that are not in the reference.
fn read(file: &File) -> Result<Layer, Error> {
    let table: toml::Table = toml::from_str(&file.text).map_err(|error| {
        // Only where and what: the line itself, which the parser would quote, may hold a secret.
        let before = &file.text[..error
            .span()
            .map_or(0, |span| span.start)
            .min(file.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before
            .chars()
            .rev()
            .take_while(|character| *character != '\n')
            .count()
            + 1;
        Fault::new(
            &file.name,
            &format!("line {line}, column {column}"),
            error.message().to_owned(),
        )
    })?;
    let unknown = reference::unknown(&table, "");
    if !unknown.is_empty() {
        return Err(Error(
            unknown
                .into_iter()
                .map(|(key, problem)| Fault::new(&file.name, &key, problem))
                .collect(),
        ));
    }
    Layer::new(&file.name, &table)
}

/// A whole file as a figment provider.
struct Layer {
    /// Its file's name.
    name: String,
    /// Its values.
    values: Dict,
}

impl Layer {
    /// Converts a parsed file.
    fn new(name: &str, table: &toml::Table) -> Result<Self, Error> {
        let value = Value::serialize(table).map_err(Error::from_figment)?;
        Ok(Self {
            name: name.into(),
            values: value.into_dict().unwrap_or_default(),
        })
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl Provider for Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}
