//! The reference: which keys there are, in which order, with which defaults.

use std::sync::LazyLock;

/// `default.toml`, commented.
pub const TEXT: &str = include_str!("default.toml");

/// One key of the reference.
#[derive(Debug)]
pub(super) struct Key {
    /// `worker.lease_s`.
    pub(super) path: String,
    /// Its default; also tells its type.
    pub(super) default: toml::Value,
}

/// The reference, parsed.
static TABLE: LazyLock<toml::Table> =
    LazyLock::new(|| toml::from_str(TEXT).expect("default.toml parses: a test says so"));

/// All keys in the order of the reference.
static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    collect(&TABLE, "", &mut keys);
    keys
});

/// The reference, parsed.
pub(super) fn table() -> &'static toml::Table {
    &TABLE
}

/// All keys in the order of the reference.
pub(super) fn keys() -> &'static [Key] {
    &KEYS
}

/// Lists a table's keys, those of its sections included.
fn collect(table: &toml::Table, section: &str, keys: &mut Vec<Key>) {
    for (name, value) in table {
        let path = join(section, name);
        match value {
            toml::Value::Table(inner) => collect(inner, &path, keys),
            value => keys.push(Key {
                path,
                default: value.clone(),
            }),
        }
    }
}

/// `section` and `name` as a path.
fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.into()
    } else {
        format!("{section}.{name}")
    }
}

/// Whether `path` is a section: a key starts with it.
fn is_section(path: &str) -> bool {
    sections().any(|section| section == path)
}

/// The sections, with repetitions.
fn sections() -> impl Iterator<Item = &'static str> {
    // `database.embedded.bin_dir` lies in `database.embedded` and in `database`.
    keys()
        .iter()
        .flat_map(|key| key.path.match_indices('.').map(|(at, _)| &key.path[..at]))
}

/// What `table` has and the reference has not, each with a suggestion.
pub(super) fn unknown(table: &toml::Table, section: &str) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    for (name, value) in table {
        let path = join(section, name);
        let known_key = keys().iter().any(|key| key.path == path);
        match value {
            toml::Value::Table(inner) if is_section(&path) => faults.extend(unknown(inner, &path)),
            toml::Value::Table(_) if !known_key => {
                let nearest = nearest(&path, sections());
                faults.push((
                    path,
                    format!("there is no such section{}", suggestion(nearest)),
                ));
            }
            _ if known_key => {}
            _ if is_section(&path) => {
                let problem =
                    format!("is a section, not a value; write [{path}] and its keys below");
                faults.push((path, problem));
            }
            _ => {
                let nearest = nearest(&path, keys().iter().map(|key| key.path.as_str()));
                faults.push((path, format!("there is no such key{}", suggestion(nearest))));
            }
        }
    }
    faults
}

/// How a suggestion ends the sentence.
pub(super) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `postrider config --reference` lists them all".into(),
        |nearest| format!("; did you mean {nearest}?"),
    )
}

/// The candidate most like `name`, if any is like it at all. The right last part counts even in a wrong section.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let last = |path: &str| {
        path.rsplit('.')
            .next()
            .map_or_else(String::new, str::to_owned)
    };
    let likeness = |candidate: &str| {
        let whole = strsim::normalized_damerau_levenshtein(name, candidate);
        let part = strsim::normalized_damerau_levenshtein(&last(name), &last(candidate));
        whole.max(0.9 * part)
    };
    candidates
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::{TEXT, keys, nearest};

    #[test]
    fn every_key_has_a_comment_above_it_or_above_its_family() {
        let lines: Vec<&str> = TEXT.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_key = line.contains(" = ") && !line.starts_with('#');
            let documented =
                at > 0 && (lines[at - 1].starts_with('#') || lines[at - 1].contains("_min"));
            assert!(!is_key || documented, "{line}");
        }
    }

    #[test]
    fn no_two_keys_share_a_variable() {
        let mut names: Vec<String> = keys()
            .iter()
            .map(|key| key.path.replace('.', "_"))
            .collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn nothing_is_suggested_for_what_is_like_nothing() {
        assert_eq!(nearest("xyzzy", ["worker", "http"].into_iter()), None);
    }
}
