//! Who it runs as. The other users are become by `setpriv`.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use super::program::Program;
use super::{assert_ends, data_dir};
use crate::support::skip::root_or_skipped;

/// The number of `nobody`, nearly everywhere.
const NOBODY: u32 = 65_534;

/// A directory of that user's, for copies of our programs and for data.
fn home_of(user: u32, name: &str) -> PathBuf {
    let home = data_dir(name);
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(&home, Some(user), None).unwrap();
    home
}

#[tokio::test]
async fn an_ordinary_user_has_one_in_the_usual_place() {
    if !root_or_skipped() {
        return;
    }
    let home = home_of(NOBODY, "home-of-nobody");
    let become_nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let mut program = Program::start(None, &become_nobody, Some(&home));
    let (server, directory) = program.started();
    assert_eq!(directory, home.join("data/postrider/db"));
    assert_eq!(
        std::fs::metadata(format!("/proc/{server}")).unwrap().uid(),
        NOBODY
    );
    program.end();
    assert_ends(server).await;
}

#[tokio::test]
async fn root_runs_the_server_as_the_owner_of_the_data() {
    if !root_or_skipped() {
        return;
    }
    let home = home_of(NOBODY, "made-by-nobody");
    let become_nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let mut program = Program::start(None, &become_nobody, Some(&home));
    let (_, directory) = program.started();
    program.end();

    let mut as_root = Program::start::<&str>(Some(&directory), &[], None);
    let (server, _) = as_root.started();
    assert_eq!(
        std::fs::metadata(format!("/proc/{server}")).unwrap().uid(),
        NOBODY
    );
    as_root.end();
}

#[test]
fn the_server_keeps_none_of_the_groups_of_root() {
    if !root_or_skipped() {
        return;
    }
    let mut program = Program::start(
        Some(&data_dir("groups")),
        &["setpriv", "--groups=4,24"],
        None,
    );
    let (server, _) = program.started();
    let status = std::fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    assert!(
        status.lines().any(|line| line.trim_end() == "Groups:"),
        "{status}"
    );
    program.end();
}

#[test]
fn a_user_without_a_name_is_told_what_to_do() {
    if !root_or_skipped() {
        return;
    }
    let home = home_of(54_321, "home-of-a-number");
    let become_a_number = [
        "setpriv",
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
    ];
    let message = Program::start(None, &become_a_number, Some(&home)).refused();
    assert!(
        message.contains("user id 54321 has no entry in the password file"),
        "{message}"
    );
    assert!(message.contains("DATABASE_URL="), "{message}");
}

#[test]
fn root_without_the_right_to_become_another_is_told_what_to_do() {
    if !root_or_skipped() {
        return;
    }
    let without_rights = ["setpriv", "--bounding-set=-setuid,-setgid"];
    let data_dir = data_dir("powerless");
    let message = Program::start(Some(&data_dir), &without_rights, None).refused();
    assert!(message.contains("we may not become"), "{message}");
    assert!(message.contains("CAP_SETUID"), "{message}");
    assert!(!data_dir.exists());
}
