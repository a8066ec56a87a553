//! The first account token: over our own Postgres `serve` makes one at its first start, so that the APIs can be used at once.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context;
use secrecy::{ExposeSecret as _, SecretString};

use crate::crypto::token;
use crate::db::Database;
use crate::db::administration::{NewToken, TokenKind};
use crate::model::Reach;

/// Its name within the directory of our own Postgres.
const FILE: &str = "account-token";

/// Makes the token and says where it is kept, unless there is one already, in the file, the configuration or the database.
pub(super) async fn ensure(database: &Database, data_dir: &Path) -> anyhow::Result<()> {
    let file = data_dir.join(FILE);
    if file.exists() {
        tracing::info!(token.file = %file.display(), "the account token for the APIs is in this file");
        return Ok(());
    }
    let present = database.tokens(Reach::DEFAULT_ACCOUNT, 0, 1).await?;
    if !present.is_empty() {
        return Ok(());
    }
    let made = token::generate(&mut rand::rng());
    // First the file: a token that the database knows and nobody else would be of no use.
    if !write(&file, &made).with_context(|| format!("writing {}", file.display()))? {
        return Ok(());
    }
    let new = NewToken {
        reach: Reach::DEFAULT_ACCOUNT,
        kind: TokenKind::Bearer,
        label: Some("first start"),
        token: &made,
    };
    if let Err(error) = database.create_token(&new).await {
        // Else the next start would believe that the file's token is good.
        drop(std::fs::remove_file(&file));
        return Err(error).context("keeping the first account token");
    }
    tracing::info!(token.file = %file.display(), "made an account token for the APIs; it is kept in this file");
    Ok(())
}

/// Writes a new file that only its owner may read. False where another was quicker.
fn write(file: &Path, made: &SecretString) -> std::io::Result<bool> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    };
    writeln!(opened, "{}", made.expose_secret())?;
    opened.sync_all()?;
    Ok(true)
}
