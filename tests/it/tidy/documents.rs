//! Documents against the code.

use std::collections::BTreeSet;

use postrider::metrics::Metrics;

use super::{files, section, text, words};

/// The rows of a Markdown table, as cells; the heading and the line below it are left out.
fn table(markdown: &str) -> Vec<Vec<String>> {
    markdown
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        })
        .filter(|cells: &Vec<String>| !cells[0].starts_with("---"))
        .skip(1)
        .collect()
}

/// What stands between backticks.
fn quoted(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split('`').skip(1).step_by(2)
}

/// Every key of the reference and its default, as the reference spells it.
fn reference() -> Vec<(String, String)> {
    let mut keys = Vec::new();
    let mut section = String::new();
    for line in text("src/config/default.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if let (false, Some((key, default))) =
            (line.starts_with('#'), line.split_once(" = "))
        {
            keys.push((format!("{section}.{key}"), default.to_owned()));
        }
    }
    keys
}

#[test]
fn the_readme_lists_every_key_with_its_default() {
    let listed: Vec<(String, String)> = table(&section("README.md", "Configuration"))
        .into_iter()
        .map(|cells| {
            let bare = |cell: &str| cell.trim_matches('`').to_owned();
            (bare(&cells[0]), bare(&cells[1]))
        })
        .collect();
    assert_eq!(listed, reference());
}

#[test]
fn every_guarantee_names_a_test_that_exists() {
    let guarantees = section("README.md", "Guarantees");
    let rows = table(&guarantees);
    assert!(rows.len() > 5, "{rows:?}");
    for cells in rows {
        let named: Vec<&str> = quoted(&cells[1]).collect();
        assert!(!named.is_empty(), "no test shows: {}", cells[0]);
        for name in named {
            assert!(
                exists(name),
                "there is no test {name}; it was to show: {}",
                cells[0]
            );
        }
    }
}

/// Whether the test of this path is in the integration tests or beside the code it tests.
fn exists(path: &str) -> bool {
    let (module, test) = path.rsplit_once("::").unwrap();
    let module = module.replace("::", "/").replace("/tests", "");
    let candidates = [
        format!("tests/it/{module}.rs"),
        format!("tests/it/{module}/mod.rs"),
        format!("src/{module}.rs"),
        format!("src/{module}/mod.rs"),
    ];
    let sources = files("tests/it", ".rs")
        .into_iter()
        .chain(files("src", ".rs"));
    sources
        .filter(|file| candidates.contains(file))
        .any(|file| {
            let source = text(&file);
            let function = format!("fn {test}()");
            let Some((before, _)) = source.split_once(&function) else {
                return false;
            };
            // Its attributes stand right above it.
            let attributes = before.rsplit("\n\n").next().unwrap();
            attributes.contains("test") && !attributes.contains("#[ignore")
        })
}

/// The metrics named in a text, whatever is made of them there.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let names = words(text, "postrider_").map(|name| {
        let ends = ["_bucket", "_sum", "_count"];
        let base = ends.iter().find_map(|end| name.strip_suffix(end));
        base.unwrap_or(name).to_owned()
    });
    names.collect()
}

/// The metrics there are.
fn metrics() -> BTreeSet<String> {
    let (_metrics, exporter) = Metrics::new();
    exporter.names().iter().map(|&name| name.into()).collect()
}

#[test]
fn dashboards_and_alerts_name_metrics_that_exist() {
    let known = metrics();
    let documents = [
        "grafana/overview.json",
        "grafana/rules.yml",
        "grafana/rules_test.yml",
        "grafana/README.md",
        "README.md",
    ];
    for path in documents {
        let named = metrics_in(&text(path).replace("postrider_emit", ""));
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
}

#[test]
fn every_metric_is_shown_by_the_overview() {
    let shown = metrics_in(&text("grafana/overview.json"));
    let unseen: Vec<String> = metrics().difference(&shown).cloned().collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

#[test]
fn the_overviews_panels_are_listed_with_their_metrics() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&text("grafana/overview.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let drawn: Vec<(String, BTreeSet<String>)> = panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .map(|panel| {
            let title = panel["title"].as_str().unwrap().to_owned();
            (title, metrics_in(&panel["targets"].to_string()))
        })
        .collect();
    let listed: Vec<(String, BTreeSet<String>)> = table(&section("grafana/README.md", "Panels"))
        .into_iter()
        .map(|cells| (cells[0].clone(), metrics_in(&cells[1])))
        .collect();
    assert_eq!(listed, drawn);
}

#[test]
fn the_gate_runs_the_readmes_test_command() {
    let readme = text("README.md");
    let block = readme.split("```").nth(1).unwrap();
    let commands: Vec<&str> = block
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .collect();
    let [first, second] = commands[..] else {
        panic!("the README begins with two commands, not {commands:?}");
    };
    assert_eq!(first, "cargo run --release -- demo");
    let gate = text(".ci/run");
    assert!(
        gate.contains(&format!("\n    {second} 2>&1 | tee")),
        "{second}"
    );
}

#[test]
fn no_document_speaks_of_a_file_that_is_not_there() {
    for path in [
        "README.md",
        "grafana/README.md",
        "sql/README.md",
        "migrations/README.md",
        "tests/README.md",
        ".github/CONTRIBUTING.md",
    ] {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for (at, _) in text(path).match_indices("](") {
            let whole = text(path);
            let target = whole[at + 2..].split(')').next().unwrap();
            let target = target.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                let there = super::root().join(directory).join(target);
                assert!(there.exists(), "{path}: {target}");
            }
        }
    }
}

#[tokio::test]
async fn the_readme_speaks_of_functions_and_views_that_exist_and_explain_themselves() {
    let pool = crate::support::postgres::database().await.pool().await;
    let explained: Vec<String> = sqlx::query_scalar(
        "select p.proname::text from pg_proc p where p.pronamespace = 'postrider'::regnamespace and obj_description(p.oid, 'pg_proc') is not null
         union
         select c.relname::text from pg_class c where c.relnamespace = 'postrider'::regnamespace and obj_description(c.oid, 'pg_class') is not null",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let sql = section("README.md", "SQL");
    let named: BTreeSet<&str> = quoted(&sql)
        .filter_map(|name| name.strip_prefix("postrider."))
        .filter_map(|name| name.split(['(', ' ']).next())
        .filter(|name| !["wake", "*"].contains(name))
        .collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        assert!(explained.iter().any(|known| known == name), "{name}");
    }
}

/// The functions whose parameters a reader is told.
#[tokio::test]
async fn the_readmes_parameters_are_those_of_the_functions() {
    let pool = crate::support::postgres::database().await.pool().await;
    let sql = section("README.md", "SQL");
    let calls = quoted(&sql).filter_map(|call| {
        call.strip_prefix("postrider.")?
            .strip_suffix(')')?
            .split_once('(')
    });
    let mut checked = 0;
    for (name, parameters) in calls {
        let given: Vec<&str> = parameters
            .split(", ")
            .filter(|name| !name.is_empty())
            .collect();
        let known: Vec<Vec<String>> = sqlx::query_scalar(
            "select coalesce(p.proargnames, '{}') from pg_proc p where p.pronamespace = 'postrider'::regnamespace and p.proname = $1",
        )
        .bind(name)
        .fetch_all(&pool)
        .await
        .unwrap();
        let fits = |names: &Vec<String>| match given.strip_suffix(&["…"]) {
            Some(first) => names.len() > first.len() && names[..first.len()] == *first,
            None => *names == given,
        };
        assert!(
            known.iter().any(fits),
            "{name}({parameters}) is none of {known:?}"
        );
        checked += 1;
    }
    assert!(checked > 8, "{checked}");
}
