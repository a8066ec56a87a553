//! Programs out of Debian's packages: nothing is installed and no service started, so no rights are needed either.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Unpacks packages into a directory.
pub(crate) fn unpack(names: &[&str], into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    fetch(&[&["download"], names].concat(), into);
    unpack_all(into, into)
}

/// The same with those that they depend on and this machine does not have.
pub(crate) fn unpack_with_dependencies(names: &[&str], into: &Path) -> io::Result<()> {
    let archives = into.join("archives");
    fs::create_dir_all(archives.join("partial"))?;
    let place = format!("Dir::Cache::archives={}", archives.display());
    // Nothing is installed, so nobody has to be kept out.
    let options = ["-o", &place, "-o", "Debug::NoLocking=1"];
    let install = [
        "install",
        "--download-only",
        "--no-install-recommends",
        "-y",
    ];
    fetch(&[&options, &install[..], names].concat(), into);
    unpack_all(&archives, into)
}

/// Downloads with the machine's own lists of packages; where they are missing or stale, with ours, which cost a download and no
/// lock.
fn fetch(arguments: &[&str], directory: &Path) {
    if !apt(directory, arguments, false) {
        apt(directory, &["update"], true);
        apt(directory, arguments, true);
    }
}

/// Unpacks all packages that lie in a directory, and removes them there.
fn unpack_all(from: &Path, into: &Path) -> io::Result<()> {
    let mut found = false;
    for entry in fs::read_dir(from)?.flatten() {
        let package = entry.path();
        if package.extension().is_some_and(|end| end == "deb") {
            found = true;
            Command::new("dpkg-deb")
                .arg("-x")
                .args([&package, into])
                .status()?;
            fs::remove_file(package)?;
        }
    }
    if found {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Runs apt-get in a directory, with the machine's lists of packages or with lists of our own.
fn apt(directory: &Path, arguments: &[&str], own_lists: bool) -> bool {
    let mut command = Command::new("apt-get");
    command
        .current_dir(directory)
        .arg("-qq")
        .args(["-o", "APT::Sandbox::User="]);
    if own_lists {
        for (key, value) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            let path = directory.join(value);
            drop(fs::create_dir_all(path.join("partial")));
            command.args(["-o", &format!("{key}={}", path.display())]);
        }
    }
    let output = command.args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}
