//! Secrets come from a file, from standard input or from a variable: others on the machine can read a command line.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// Longer than any secret; a wrong file is not read to its end.
const BYTES_MAX: u64 = 1024 * 1024;

/// Where a secret is, as two arguments say it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// What it is, for messages.
    pub(super) what: &'static str,
    /// A file; `-` for standard input.
    pub(super) file: Option<&'a PathBuf>,
    /// The name of a variable.
    pub(super) variable: Option<&'a String>,
}

impl Place<'_> {
    /// The secret, without the end of its line. None where no place was named.
    pub(super) fn read(self) -> anyhow::Result<Option<SecretString>> {
        let what = self.what;
        let text = match (self.file, self.variable) {
            (Some(file), _) => read_file(file)
                .with_context(|| format!("reading {what} from {}", file.display()))?,
            (None, Some(name)) => std::env::var(name)
                .map(SecretString::from)
                .ok()
                .with_context(|| {
                    format!("{what} is to be in the variable {name}, which is not set")
                })?,
            (None, None) => return Ok(None),
        };
        let text = trimmed(&text);
        if text.expose_secret().is_empty() {
            bail!("{what} is empty");
        }
        Ok(Some(text))
    }
}

/// A file's text.
fn read_file(path: &Path) -> anyhow::Result<SecretString> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(BYTES_MAX)
            .read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?
            .take(BYTES_MAX)
            .read_to_end(&mut bytes)?;
    }
    let bytes = SecretSlice::from(bytes);
    let text = std::str::from_utf8(bytes.expose_secret())
        .map_err(|_| anyhow::anyhow!("it is not UTF-8"))?;
    Ok(text.into())
}

/// Without the end of the line that editors and `echo` add.
fn trimmed(text: &SecretString) -> SecretString {
    text.expose_secret().trim_end_matches(['\r', '\n']).into()
}
