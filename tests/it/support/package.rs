//! Programs out of Debian's packages: nothing is installed and no service started, so no rights are needed either.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Unpacks packages into a directory.
pub(crate) fn unpack(names: &[&str], into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    let download = [&["download"], names].concat();
    if !apt(into, &download, false) {
        // The machine's own lists of packages are missing or stale; ours cost a download, and no lock.
        apt(into, &["update"], true);
        apt(into, &download, true);
    }
    let mut found = false;
    for entry in fs::read_dir(into)?.flatten() {
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
