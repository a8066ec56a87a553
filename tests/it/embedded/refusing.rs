//! What is not started, and what the message says to do.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use postrider::db::embedded::install::Installer;
use postrider::db::embedded::{Cluster, Error, exec};

use super::{assert_ends, data_dir, options_in, write_row};
use crate::support::skip::root_or_skipped;

#[tokio::test]
async fn a_second_one_of_us_is_refused_and_the_first_is_not_disturbed() {
    let data_dir = data_dir("second");
    let first = Cluster::start(options_in(&data_dir)).await.unwrap();
    let refused = Cluster::start(options_in(&data_dir)).await.unwrap_err();
    assert!(matches!(&refused, Error::InUse { data_dir: named } if *named == data_dir));
    assert!(
        refused
            .to_string()
            .contains("another Postrider is using the data directory"),
        "{refused}"
    );
    write_row(&first).await;
}

#[tokio::test]
async fn a_server_somebody_started_by_hand_is_not_disturbed() {
    let data_dir = data_dir("by-hand");
    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    let postgres = std::fs::read_link(format!("/proc/{}/exe", cluster.process_id())).unwrap();
    cluster.stop().await;

    let owner = std::fs::metadata(data_dir.join("cluster")).unwrap();
    let mut by_hand = Command::new(env!("CARGO_BIN_EXE_postrider"));
    by_hand
        .arg(exec::SUBCOMMAND)
        .arg(std::process::id().to_string());
    if nix::unistd::geteuid().is_root() {
        by_hand.args([owner.uid().to_string(), owner.gid().to_string()]);
    } else {
        by_hand.args(["-", "-"]);
    }
    by_hand
        .arg(postgres)
        .arg("-D")
        .arg(data_dir.join("cluster"))
        .arg("-k")
        .arg(data_dir.join("socket"));
    by_hand
        .args(["-c", "listen_addresses="])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let mut by_hand = by_hand.spawn().unwrap();
    let pid_file = data_dir.join("cluster/postmaster.pid");
    let deadline = tokio::time::Instant::now() + super::PATIENCE;
    while !std::fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready")) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the server by hand is not ready"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }

    let refused = Cluster::start(options_in(&data_dir)).await.unwrap_err();
    let message = refused.to_string();
    assert!(
        message.contains(&format!("kill -INT {}", by_hand.id())),
        "{message}"
    );
    assert!(by_hand.try_wait().unwrap().is_none());
    let process = nix::unistd::Pid::from_raw(by_hand.id().cast_signed());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
    by_hand.wait().unwrap();
    assert_ends(by_hand.id()).await;
}

#[tokio::test]
async fn data_of_another_major_version_is_not_touched() {
    let data_dir = data_dir("other-major");
    let cluster = Cluster::start(options_in(&data_dir)).await.unwrap();
    let major = cluster.major();
    cluster.stop().await;
    let version = data_dir.join("cluster/PG_VERSION");
    std::fs::write(&version, "11\n").unwrap();
    let refused = Cluster::start(options_in(&data_dir)).await.unwrap_err();
    assert!(
        matches!(&refused, Error::OtherMajor { wanted: 11, found, .. } if found.contains(&major)),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains("apt-get install postgresql-11"),
        "{refused}"
    );
    assert!(!data_dir.join("cluster/postmaster.pid").exists());
}

#[tokio::test]
async fn a_directory_with_other_things_is_left_alone() {
    let data_dir = data_dir("foreign");
    std::fs::create_dir(&data_dir).unwrap();
    std::fs::set_permissions(&data_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(data_dir.join("thesis.txt"), "").unwrap();
    let refused = Cluster::start(options_in(&data_dir)).await.unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::metadata(&data_dir).unwrap().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_dir(&data_dir).unwrap().count(), 1);
}

#[tokio::test]
async fn a_socket_with_too_long_a_name_is_told_before_anything_is_made() {
    let data_dir = data_dir(&"x".repeat(90));
    let refused = Cluster::start(options_in(&data_dir)).await.unwrap_err();
    assert!(matches!(refused, Error::SocketTooLong { .. }), "{refused}");
    assert!(!data_dir.exists());
}

#[tokio::test]
async fn a_closed_directory_on_the_way_is_named() {
    if !root_or_skipped() {
        return;
    }
    let closed = data_dir("closed-way");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let refused = Cluster::start(options_in(&closed.join("data")))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Unreachable { blocked_by, .. } if *blocked_by == closed),
        "{refused}"
    );
}

#[tokio::test]
async fn a_directory_without_the_programs_is_named() {
    let empty = data_dir("no-programs");
    std::fs::create_dir(&empty).unwrap();
    let mut options = options_in(&data_dir("not-made"));
    options.binaries = Some(empty.clone());
    let refused = Cluster::start(options).await.unwrap_err();
    assert!(
        matches!(&refused, Error::NoBinariesThere { directory } if *directory == empty),
        "{refused}"
    );
}

#[test]
fn without_any_postgres_the_message_ends_with_what_to_type() {
    let nothing_works = Installer {
        directory: data_dir("never"),
        ways: Vec::new(),
    };
    let mut report = Vec::new();
    let refused = nothing_works
        .install(&mut |line| report.push(line.to_owned()))
        .unwrap_err();
    for message in [refused.to_string(), Error::NotFound.to_string()] {
        let commands = [
            "apt-get install -y --no-install-recommends postgresql",
            "postrider pg install",
            "DATABASE_URL=",
        ];
        assert!(
            commands.iter().all(|command| message.contains(command)),
            "{message}"
        );
        assert!(message.ends_with("postrider serve"), "{message}");
    }
}
