//! `postrider config`, and what a wrong configuration looks like.

use std::io::Read;
use std::process::{Output, Stdio};

use super::postrider;

/// What it said, as text.
fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn it_prints_what_is_in_force_and_where_it_came_from() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("postrider.toml"),
        "[worker]\nlease_s = 60\n",
    )
    .unwrap();
    let output = postrider(directory.path(), &["config", "--log-level", "debug"])
        .env("DATABASE_URL", "postgres://app:hunter2@db/x")
        .output()
        .unwrap();
    let (status, page, errors) = said(&output);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(page.contains("lease_s = 60  # postrider.toml\n"), "{page}");
    assert!(
        page.contains("url = \"postgres://app:***@db/x\"  # environment: DATABASE_URL\n"),
        "{page}"
    );
    assert!(
        page.contains("level = \"debug\"  # --log-level\n"),
        "{page}"
    );
    assert!(page.contains("drain_s = 25\n"), "{page}");
}

#[test]
fn a_server_that_cannot_be_reached_is_named_without_the_password() {
    let directory = tempfile::tempdir().unwrap();
    let sockets = directory.path().display();
    for (url, server) in [
        (
            "postgres://app:hunter2@127.0.0.1:1/shop".to_owned(),
            "127.0.0.1, port 1".to_owned(),
        ),
        (
            format!("postgres://app:hunter2@localhost:7/shop?host={sockets}"),
            format!("{sockets}, port 7"),
        ),
    ] {
        for command in [&["migrate"][..], &["queue", "stats"]] {
            let output = postrider(directory.path(), command)
                .env("DATABASE_URL", &url)
                .output()
                .unwrap();
            let (status, _, errors) = said(&output);
            assert_ne!(status, Some(0));
            assert!(
                errors.contains(&format!("connect to database shop at {server}\n")),
                "{errors}"
            );
            assert!(!errors.contains("hunter2"), "{errors}");
        }
    }
}

#[test]
fn a_wrong_configuration_is_told_once_and_exits_with_78() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("other.toml"),
        "[worker]\nlease = 60\n",
    )
    .unwrap();
    let output = postrider(directory.path(), &["config"])
        .env("POSTRIDER_CONFIG", "other.toml")
        .env("POSTRIDER_HTTP__LISTN", "x")
        .output()
        .unwrap();
    let (status, page, errors) = said(&output);
    assert_eq!((status, page.as_str()), (Some(78), ""));
    assert_eq!(
        errors,
        "postrider: error: the configuration cannot be used\n  \
         other.toml: worker.lease: there is no such key; did you mean worker.lease_s?\n  \
         environment: POSTRIDER_HTTP__LISTN: there is no such variable; did you mean POSTRIDER_HTTP__LISTEN?\n"
    );
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let output = postrider(directory.path(), &["config", "--config", "gone.toml"])
        .output()
        .unwrap();
    let (status, _, errors) = said(&output);
    assert_eq!(status, Some(78));
    assert!(
        errors.contains("gone.toml: the whole file: cannot be read: No such file"),
        "{errors}"
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let output = postrider(directory.path(), &["confg"]).output().unwrap();
    let (status, _, errors) = said(&output);
    assert_eq!(status, Some(2));
    assert!(errors.contains("config"), "{errors}");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = postrider(directory.path(), &["config", "--reference"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!(errors, "");
}
