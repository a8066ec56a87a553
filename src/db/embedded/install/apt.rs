//! The package of Debian or Ubuntu.

use std::fs;
use std::path::Path;

use nix::unistd::geteuid;

use super::Tool;
use crate::db::embedded::Error;
use crate::db::embedded::find::{Binaries, Search, find};

/// Where Debian's scripts are told whether to make a cluster of the system's own.
const CREATE_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";
/// What we write there. On a machine that had no PostgreSQL, nobody asked for a server on the network.
const NO_CLUSTER: &str = "# Written by `postrider pg install`, which needs the programs of PostgreSQL and no server of the system's.
# Remove this file to have the next installation of a PostgreSQL package make one again.
create_main_cluster = false
";

/// Installs the package, without a server of the system's own.
pub(super) fn install(report: &mut dyn FnMut(&str)) -> Result<Binaries, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    Tool::new("apt-get", &["--version"]).run()?;
    let file = Path::new(CREATE_CLUSTER);
    let wrote = keep_from_making_a_cluster(file)?;
    if wrote {
        report(&format!(
            "wrote {CREATE_CLUSTER}, so that the package starts no server of its own"
        ));
    } else {
        report(&format!(
            "left {CREATE_CLUSTER} as it is: it decides whether the package starts a server of its own"
        ));
    }
    let installed = install_and_find(report);
    if installed.is_err() && wrote {
        fs::remove_file(file).map_err(Error::system("remove", file))?;
        report(&format!("removed {CREATE_CLUSTER} again"));
    }
    installed
}

/// Installs the package; where that fails, once more with a fresh list of packages.
fn install_and_find(report: &mut dyn FnMut(&str)) -> Result<Binaries, Error> {
    report("running: apt-get install -y --no-install-recommends postgresql");
    if install_package().is_err() {
        report("running: apt-get update, then the same again");
        Tool::new("apt-get", &["-q", "update"]).run()?;
        install_package()?;
    }
    match find(None, None)? {
        Search::Found(binaries) => Ok(binaries),
        _ => Err(Error::NotFound),
    }
}

/// One run of the installation.
fn install_package() -> Result<(), Error> {
    let keep_configuration = "Dpkg::Options::=--force-confold";
    let arguments = [
        "-q",
        "install",
        "-y",
        "--no-install-recommends",
        "-o",
        keep_configuration,
        "postgresql",
    ];
    let mut tool = Tool::new("apt-get", &arguments);
    tool.command.env("DEBIAN_FRONTEND", "noninteractive");
    tool.run()
}

/// Says in Debian's own file that no cluster is wanted, unless somebody has already said something there.
/// Answers whether it wrote.
fn keep_from_making_a_cluster(file: &Path) -> Result<bool, Error> {
    if file.exists() {
        return Ok(false);
    }
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).map_err(Error::system("create", directory))?;
    }
    fs::write(file, NO_CLUSTER).map_err(Error::system("write", file))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_somebody_made_about_clusters_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory
            .path()
            .join("postgresql-common/createcluster.conf");
        assert!(keep_from_making_a_cluster(&file).unwrap());
        assert!(
            fs::read_to_string(&file)
                .unwrap()
                .contains("\ncreate_main_cluster = false\n")
        );

        fs::write(&file, "create_main_cluster = true\n").unwrap();
        assert!(!keep_from_making_a_cluster(&file).unwrap());
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "create_main_cluster = true\n"
        );
    }
}
