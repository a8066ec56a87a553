//! `postrider keys`: the encryption keys of secrets at rest.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Globals;
use super::output::{Format, Table};
use super::session::Session;
use crate::db::Resealed;

/// How a rotation goes, from beginning to end.
const ROTATION: &str = "\
ENCRYPTION_KEY seals and opens; keys in ENCRYPTION_KEY_OLD (separated by commas) only open. The new
key begins there, so that no process ever meets a secret that it cannot open. Restart processes one
by one: the others go on meanwhile.

Example, with FORMER=$ENCRYPTION_KEY and NEW=$(openssl rand -base64 32):
  1. every process learns to open the new key; with a single process, begin with 2.
       restart each with ENCRYPTION_KEY=$FORMER ENCRYPTION_KEY_OLD=$NEW
  2. every process seals with the new key, and still opens the former one
       restart each with ENCRYPTION_KEY=$NEW ENCRYPTION_KEY_OLD=$FORMER
  3. what rests under the former key is sealed anew; again, until it exits with 0
       ENCRYPTION_KEY=$NEW ENCRYPTION_KEY_OLD=$FORMER postrider keys rotate
  4. the former key goes
       restart each with ENCRYPTION_KEY=$NEW alone
     Keep FORMER with the backups made until then: what they hold is sealed with it.";

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
enum Action {
    /// Seal with the current key whatever a former key sealed, or rests in plain; safe while everything runs
    #[command(after_help = ROTATION)]
    Rotate(Format),
}

/// Does it.
pub(super) async fn run(globals: &Globals, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Action::Rotate(format) = arguments.action;
    Session::run(globals, async |session| rotate(session, format).await).await
}

/// Seals all anew and says what became of them; fails where some could not be.
async fn rotate(session: &Session, format: Format) -> anyhow::Result<ExitCode> {
    let keyring = session.keyring()?;
    let Some(key) = keyring.current_key_id() else {
        bail!(
            "there is no key to seal with\nhint: set ENCRYPTION_KEY, and the former keys in ENCRYPTION_KEY_OLD"
        );
    };
    let places =
        session.database.reseal_secrets(&keyring).await.context(
            "sealing secrets anew; what was done stays done, and running it again goes on",
        )?;
    format.print(&json!({ "key": key, "places": places }), |_| {
        words(key, &places)
    })?;
    let is_left = places
        .iter()
        .any(|place| place.busy > 0 || !place.shut.is_empty());
    Ok(if is_left {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// For people.
fn words(key: &str, places: &[Resealed]) -> String {
    let mut table = Table::new(["secrets", "sealed now", "sealed before", "not sealed"]);
    let mut problems = String::new();
    for place in places {
        let shut: u64 = place.shut.values().sum();
        table.row([
            place.place.to_owned(),
            place.sealed.to_string(),
            place.current.to_string(),
            (place.busy + shut).to_string(),
        ]);
        if place.busy > 0 {
            let _ = writeln!(
                problems,
                "{} {} were locked or changed by others all along; run it again",
                place.busy, place.place
            );
        }
        for (problem, count) in &place.shut {
            let _ = writeln!(
                problems,
                "{count} {} cannot be opened: {problem}",
                place.place
            );
        }
    }
    let verdict = if problems.is_empty() {
        format!("everything is sealed with key {key}; the former keys open nothing any more\n")
    } else {
        problems
    };
    format!("{}\n{verdict}", table.or(""))
}
