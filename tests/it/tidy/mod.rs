//! What no compiler holds: the direction of imports, and that documents say what the code does.
//!
//! One crate keeps the layout (see `lib.rs`), so these tests read the sources as text.

mod direction;
mod documents;
mod files;

use std::fs;
use std::path::{Path, PathBuf};

/// The project's directory.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a directory whose names end so, by their paths from the project's directory.
fn files(directory: &str, end: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(directory), end, &mut found);
    assert!(!found.is_empty(), "no {end} below {directory}");
    found.sort();
    found
}

/// Adds what a directory holds.
fn collect(directory: &Path, end: &str, found: &mut Vec<String>) {
    let entries: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    for path in entries {
        if path.is_dir() {
            collect(&path, end, found);
        } else if path.to_str().unwrap().ends_with(end) {
            let relative = path.strip_prefix(root()).unwrap();
            found.push(relative.to_str().unwrap().to_owned());
        }
    }
}

/// The lines of a Rust file that are code, with their numbers: no comments.
fn code(path: &str) -> Vec<(usize, String)> {
    text(path)
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line.to_owned()))
        .collect()
}

/// All the words in a text that start so: letters, digits and underscores.
fn words<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(start)
        .filter(|(at, _)| {
            let before = text[..*at].chars().next_back();
            !before.is_some_and(|character| character.is_ascii_alphanumeric() || character == '_')
        })
        .map(|(at, _)| {
            let rest = &text[at..];
            let end =
                rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
}

/// The part of a Markdown file below a heading of the second level.
fn section(path: &str, heading: &str) -> String {
    let whole = text(path);
    let start = format!("\n## {heading}\n");
    let (_, rest) = whole
        .split_once(&start)
        .unwrap_or_else(|| panic!("{path} has no section {heading}"));
    rest.split("\n## ").next().unwrap().to_owned()
}
