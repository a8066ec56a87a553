//! Which room may use which, and what only one of them may name.

use super::{code, files, text, words};

/// Nouns and pure thinking, on which everything stands.
const GROUND: &[&str] = &[
    "backoff", "causes", "config", "crypto", "dialect", "metrics", "model",
];

/// The modules above the ground, and what each may use beside the ground and itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("db", &[]),
    ("channels", &[]),
    // A part for other programs, which can be built without the rest.
    ("client", &[]),
    // Told to tasks and by tasks; they use nothing themselves.
    ("lifecycle", &[]),
    ("readiness", &[]),
    ("telemetry", &[]),
    ("http", &["db", "lifecycle", "readiness"]),
    ("ingest", &["db", "lifecycle", "readiness"]),
    ("delivery", &["db", "channels", "lifecycle", "readiness"]),
    ("realtime", &["db", "lifecycle", "readiness"]),
    ("app", ROLES),
    ("roles", ROLES),
    ("source", &["db"]),
];

/// What may be used where a process is put together.
const ROLES: &[&str] = &[
    "app",
    "channels",
    "db",
    "delivery",
    "http",
    "ingest",
    "lifecycle",
    "readiness",
    "realtime",
    "source",
    "telemetry",
];

/// The top-level module a file belongs to.
fn module(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap();
    let end = inner.find(['/', '.']).unwrap();
    &inner[..end]
}

/// What comes after `crate::`, also in braces and over several lines.
fn imports(path: &str) -> Vec<String> {
    let lines: Vec<String> = code(path).into_iter().map(|(_, line)| line).collect();
    let source = lines.join("\n");
    let mut found = Vec::new();
    for (at, start) in source.match_indices("crate::") {
        if source[..at].ends_with('$') {
            continue;
        }
        let rest = &source[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(first_names(group)),
            None => found.extend(words(rest, &rest[..1]).next().map(str::to_owned)),
        }
    }
    found
}

/// The names at the top level of a group of imports, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![String::new()];
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ if depth == 0 => names.last_mut().unwrap().push(character),
            _ => {}
        }
    }
    names
        .iter()
        .filter_map(|name| name.trim().split("::").next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The files outside a module whose code names something, each with its line.
fn named_outside(home: &[&str], name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in files("src", ".rs") {
        if home.iter().any(|home| path.starts_with(home)) {
            continue;
        }
        for (number, line) in code(&path) {
            // What stands in quotes is text: the name of a log target, for one.
            let unquoted: String = line.split('"').step_by(2).collect();
            if words(&unquoted, name).any(|word| word == name) {
                found.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

#[test]
fn what_lies_lower_never_imports_what_lies_higher_and_rooms_never_import_one_another() {
    let mut wrong = Vec::new();
    for path in files("src", ".rs") {
        let from = module(&path);
        if matches!(from, "main" | "lib" | "cli") {
            continue;
        }
        let above = MAY_USE.iter().find(|(name, _)| *name == from);
        assert!(
            above.is_some() || GROUND.contains(&from),
            "{path}: give module {from} its place in tests/it/tidy/direction.rs"
        );
        let allowed = above.map_or(&[][..], |(_, allowed)| allowed);
        for to in imports(&path) {
            let known = GROUND.contains(&to.as_str()) || allowed.contains(&to.as_str());
            if to != from && !known {
                wrong.push(format!("{path}: {from} uses {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_reaches_the_crates_root_without_naming_it() {
    for path in files("src", ".rs") {
        let inner = path.strip_prefix("src/").unwrap();
        let depth = inner.matches('/').count() + usize::from(!inner.ends_with("mod.rs"));
        // In a module within the file, such as the tests, the way up is longer by one; that is not looked into.
        let up = format!("use {}", "super::".repeat(depth));
        for (number, line) in code(&path) {
            let named = depth == 0 || !line.starts_with(&up);
            assert!(named, "{path}:{number}: write crate:: instead");
        }
    }
}

#[test]
fn only_db_names_sqlx_and_holds_sql() {
    assert_eq!(named_outside(&["src/db/"], "sqlx"), Vec::<String>::new());
    let verbs = ["\"select ", "\"insert into ", "\"delete from ", "\"with "];
    let mut found = Vec::new();
    for path in files("src", ".rs") {
        // Commands show people SQL to type; without sqlx they cannot run any.
        if path.starts_with("src/db/") || path.starts_with("src/cli/") {
            continue;
        }
        for (number, line) in code(&path) {
            let lower = line.to_lowercase();
            if verbs.iter().any(|verb| lower.contains(verb)) {
                found.push(format!("{path}:{number}"));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn only_channels_open_outbound_connections() {
    // The benchmark's baseline posts through the guarded client with requests of its own.
    let allowed = ["src/channels/", "src/cli/bench/"];
    assert_eq!(named_outside(&allowed, "reqwest"), Vec::<String>::new());
    for path in files("src", ".rs") {
        for (number, line) in code(&path) {
            let opens = line.contains("TcpStream::connect") || line.contains("client::conn");
            // A client of ours connects to a server of ours, and to nobody else.
            // A benchmark's subscribers connect to the servers it starts.
            let may = ["src/channels/", "src/client/", "src/cli/bench/"];
            assert!(
                !opens || may.iter().any(|home| path.starts_with(home)),
                "{path}:{number}"
            );
        }
    }
}

#[test]
fn channels_never_see_the_database() {
    for path in files("src/channels", ".rs") {
        assert!(!imports(&path).contains(&"db".to_owned()), "{path}");
    }
}

#[test]
fn the_ground_does_no_io_spawns_nothing_and_asks_no_clock() {
    let forbidden = [
        "std::env",
        "std::fs",
        "std::net::Tcp",
        "std::process",
        "std::thread",
        "::spawn",
        "::now()",
        "now_utc",
    ];
    for path in files("src", ".rs") {
        if !GROUND.contains(&module(&path)) {
            continue;
        }
        for (number, line) in without_tests(&path) {
            for name in forbidden {
                assert!(!line.contains(name), "{path}:{number}: {name}");
            }
        }
    }
}

/// The code of a file up to its tests, which stand last.
fn without_tests(path: &str) -> Vec<(usize, String)> {
    let lines = code(path);
    let tests = lines.iter().position(|(_, line)| line == "#[cfg(test)]");
    let end = tests.unwrap_or(lines.len());
    lines.into_iter().take(end).collect()
}

#[test]
fn nobody_but_lifecycle_handles_signals_and_nobody_asks_the_system_for_the_time() {
    for path in files("src", ".rs") {
        for (number, line) in code(&path) {
            let handles = line.contains("tokio::signal") || line.contains("signal_hook");
            assert!(
                !handles || path.starts_with("src/lifecycle/"),
                "{path}:{number}"
            );
            assert!(!line.contains("SystemTime"), "{path}:{number}");
        }
    }
}

#[test]
fn no_route_of_an_api_is_without_its_description() {
    for dialect in ["v1", "ryze", "evolution", "codechat", "vzaps"] {
        for path in files(&format!("src/http/{dialect}"), ".rs") {
            for (number, line) in code(&path) {
                let bare = line.contains(".route(") || line.contains(".route_service(");
                assert!(
                    !bare,
                    "{path}:{number}: use routes!(…), or no test finds it"
                );
            }
        }
    }
}

#[test]
fn the_invariants_stand_in_the_architecture() {
    let architecture = text("src/lib.rs").replace("//! ", "").replace('\n', " ");
    for invariant in [
        "The four rooms (http, ingest, delivery, realtime) never import one another. They meet only in Postgres.",
        "Only `db` holds SQL or names `sqlx`. Only `channels` opens outbound connections.",
        "L0 does no I/O, spawns nothing and asks no clock",
        "No transaction is open while we wait for the network.",
        "Every write that ends a lease names its token and must touch exactly one row.",
        "Nobody but `lifecycle` handles signals; nobody spawns a task outside the tracker.",
        "A delivery appears by one path only: event → delivery → attempt, or by direct insert, without an event.",
    ] {
        let squeezed = architecture
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(squeezed.contains(invariant), "{invariant}");
    }
    for path in files("src", ".rs") {
        let name = module(&path);
        let listed = architecture.contains(&format!("`{name}`"));
        assert!(
            listed || matches!(name, "lib" | "main"),
            "lib.rs does not speak of {name}"
        );
    }
}
