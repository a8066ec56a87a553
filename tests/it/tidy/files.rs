//! The shape of files.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{files, root, text};

/// Migrations that have been released, with the SHA-256 of each in base64: they are never edited, only followed by others.
/// A release adds its own here.
const RELEASED: &[(&str, &str)] = &[];

#[test]
fn a_released_migration_is_never_edited() {
    for (path, checksum) in RELEASED {
        let digest = STANDARD.encode(Sha256::digest(text(path)));
        assert_eq!(
            digest, *checksum,
            "{path} was released: add another migration"
        );
    }
}

#[test]
fn migrations_follow_one_another_and_say_why_they_are_there() {
    for (at, path) in files("migrations", ".sql").iter().enumerate() {
        let name = path.strip_prefix("migrations/").unwrap();
        assert!(name.starts_with(&format!("{:04}_", at + 1)), "{name}");
        assert!(
            text(path).starts_with("-- "),
            "{name} does not begin with its reason"
        );
    }
}

#[test]
fn every_hot_statement_names_itself_in_its_first_line() {
    for path in files("sql/queue", ".sql") {
        let name = path
            .strip_prefix("sql/")
            .unwrap()
            .strip_suffix(".sql")
            .unwrap();
        let first = format!("-- {}: ", name.replace('/', "."));
        assert!(
            text(&path).starts_with(&first),
            "{path} does not begin with {first}"
        );
    }
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for directory in ["src", "tests"] {
        for path in files(directory, ".rs") {
            assert!(text(&path).starts_with("//! "), "{path}");
        }
    }
}

#[test]
fn what_is_seen_first_is_what_there_is() {
    let listed = std::fs::read_dir(root()).unwrap();
    let names: BTreeSet<String> = listed
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let expected = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "grafana",
        "migrations",
        "sql",
        "src",
        "tests",
    ];
    let more: Vec<_> = names
        .iter()
        .filter(|name| !expected.contains(&name.as_str()) && *name != "postrider.toml")
        .collect();
    assert!(
        more.is_empty(),
        "the root of the project stays as small as it is: {more:?}"
    );
    for name in expected {
        assert!(names.contains(name), "{name} is missing");
    }
}

/// Not a rule, a hint: past this many lines, ask whether two things share the file.
const LINES: usize = 300;

#[test]
fn long_files_are_named() {
    for path in files("src", ".rs") {
        let lines = text(&path).lines().count();
        if lines > LINES {
            println!("{path} has {lines} lines");
        }
    }
}
