//! Variables and the keys they set.
//!
//! `POSTRIDER_WORKER__LEASE_S` is `worker.lease_s`. As no two keys collide without the double underscore (a test says
//! so), `POSTRIDER_WORKER_LEASE_S` is accepted too. What begins with `POSTRIDER_` and is no key is an error, or a
//! misspelt variable would be silently without effect; what Kubernetes adds for a service named `postrider` is passed over.

use figment::value::Value;

use super::error::{Error, Fault};
use super::evolution;
use super::reference::{self, Key};
use super::sources::{ENVIRONMENT, Setting};

/// Names that others use for our keys. Weaker than `POSTRIDER_…`.
const ALIASES: [(&str, &str); 7] = [
    ("DATABASE_URL", "database.url"),
    ("ENCRYPTION_KEY", "encryption.key"),
    ("ENCRYPTION_KEY_OLD", "encryption.old_keys"),
    ("POSTRIDER_ACCOUNT_TOKEN", "api.account_token"),
    ("AUTHENTICATION_API_KEY", "api.global_key"),
    ("RUST_LOG", "log.level"),
    ("POSTRIDER_PG_BIN", "database.embedded.bin_dir"),
];

/// Ours, but no keys: `cli` reads them.
const RESERVED: [&str; 3] = ["POSTRIDER_CONFIG", "POSTRIDER_TOKEN", "POSTRIDER_URL"];

/// The values set by variables, weakest first.
pub(super) fn settings(variables: &[(String, String)]) -> Result<Vec<Setting>, Error> {
    let mut ranked = Vec::new();
    let mut faults = Vec::new();
    for (name, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
        let Some((rank, key)) = find(name) else {
            if name.starts_with("POSTRIDER_")
                && !RESERVED.contains(&name.as_str())
                && !of_kubernetes(name, text)
            {
                faults.push(unknown(name));
            }
            continue;
        };
        match typed(text, &key.default) {
            Ok(value) => {
                let origin = format!("{ENVIRONMENT}{name}");
                ranked.push((
                    rank,
                    Setting {
                        origin,
                        key: key.path.clone(),
                        value,
                    },
                ));
            }
            Err(problem) => faults.push(Fault::new(
                ENVIRONMENT.trim_end_matches(": "),
                name,
                problem.into(),
            )),
        }
    }
    if !faults.is_empty() {
        return Err(Error(faults));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let ours = ranked.into_iter().map(|(_, setting)| setting);
    Ok(evolution::settings(variables)
        .into_iter()
        .chain(ours)
        .collect())
}

/// How strongly a name's spelling binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// `DATABASE_URL`.
    Alias,
    /// `POSTRIDER_DATABASE_URL`.
    Single,
    /// `POSTRIDER_DATABASE__URL`.
    Double,
}

/// The key a variable sets.
fn find(name: &str) -> Option<(Rank, &'static Key)> {
    let key = |path: &str| reference::keys().iter().find(|key| key.path == path);
    if let Some((_, path)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return key(path).map(|key| (Rank::Alias, key));
    }
    let rest = name.strip_prefix("POSTRIDER_")?;
    reference::keys().iter().find_map(|key| {
        let spelt = |separator: &str| key.path.replace('.', separator).to_uppercase() == rest;
        if spelt("__") {
            Some((Rank::Double, key))
        } else {
            spelt("_").then_some((Rank::Single, key))
        }
    })
}

/// A variable's text as the type its key has in the reference.
fn typed(text: &str, like: &toml::Value) -> Result<Value, &'static str> {
    match like {
        toml::Value::Integer(_) | toml::Value::Float(_) => {
            let number = text.trim();
            let whole = number.parse::<i64>().map(Value::from);
            whole
                .or_else(|_| number.parse::<f64>().map(Value::from))
                .map_err(|_| "expected a number")
        }
        toml::Value::Boolean(_) => text
            .trim()
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| "expected true or false"),
        toml::Value::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(Value::from(items.map(Value::from).collect::<Vec<_>>()))
        }
        _ => Ok(Value::from(text)),
    }
}

/// The fault for a `POSTRIDER_` variable that is no key.
fn unknown(name: &str) -> Fault {
    let names: Vec<String> = reference::keys()
        .iter()
        .map(|key| format!("POSTRIDER_{}", key.path.replace('.', "__").to_uppercase()))
        .collect();
    let nearest = reference::nearest(name, names.iter().map(String::as_str));
    let problem = format!(
        "there is no such variable{}",
        reference::suggestion(nearest)
    );
    Fault::new(ENVIRONMENT.trim_end_matches(": "), name, problem)
}

/// Whether it looks like what Kubernetes sets for a service whose name begins with `postrider`.
fn of_kubernetes(name: &str, text: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && address)
        || ["_TCP", "_UDP", "_SCTP"]
            .iter()
            .any(|protocol| name.contains("_PORT_") && name.contains(protocol))
}
