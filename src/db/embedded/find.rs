//! Where the programs of PostgreSQL are.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use super::directory::state_dir;

/// The major versions we know to work.
pub(super) const MAJORS: std::ops::RangeInclusive<u32> = 14..=18;

/// The programs of one PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    /// Where they are.
    pub(super) directory: PathBuf,
    /// Which major version they are.
    pub(super) major: u32,
}

impl Binaries {
    /// The programs in `directory`, if they are there, run, and are of a version we know.
    pub(super) fn in_directory(directory: &Path) -> Option<Binaries> {
        if !directory.join("initdb").is_file() {
            return None;
        }
        // Followed, since a link in PATH does not lead to the libraries beside the program it names.
        let server = fs::canonicalize(directory.join("postgres")).ok()?;
        let output = Command::new(&server)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        let directory = server.parent()?.to_owned();
        MAJORS
            .contains(&major)
            .then_some(Binaries { directory, major })
    }

    /// The server.
    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    /// What makes a cluster.
    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }
}

/// What a search came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// These will do.
    Found(Binaries),
    /// There are some, of these versions, but none of the one the data asks for.
    OtherMajors(Vec<u32>),
    /// There are none.
    Nothing,
}

/// Looks at the one directory that was named, or through all the usual ones.
pub(super) fn find(named: Option<&Path>, wanted: Option<u32>) -> Result<Search, Error> {
    let Some(directory) = named else {
        return Ok(search(&usual_directories(), wanted));
    };
    let directory = std::path::absolute(directory).map_err(Error::system("resolve", directory))?;
    match search(std::slice::from_ref(&directory), wanted) {
        Search::Nothing => Err(Error::NoBinariesThere { directory }),
        other => Ok(other),
    }
}

/// The first directory that holds what is wanted.
fn search(directories: &[PathBuf], wanted: Option<u32>) -> Search {
    let mut others = Vec::new();
    for binaries in directories
        .iter()
        .filter_map(|directory| Binaries::in_directory(directory))
    {
        if wanted.is_none_or(|major| major == binaries.major) {
            return Search::Found(binaries);
        }
        others.push(binaries.major);
    }
    others.dedup();
    if others.is_empty() {
        Search::Nothing
    } else {
        Search::OtherMajors(others)
    }
}

/// Where we look, in this order: beside our program, what we installed, what the system has, the PATH.
fn usual_directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Ok(executable) = std::env::current_exe() {
        directories.extend(
            executable
                .parent()
                .map(|bin| bin.join("../libexec/postrider/postgres/bin")),
        );
    }
    if let Ok(installed) = install_dir() {
        directories.extend(newest_first(&installed, ""));
    }
    directories.extend(newest_first(Path::new("/usr/lib/postgresql"), ""));
    directories.extend(newest_first(Path::new("/usr"), "pgsql-"));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt"] {
        directories.extend(newest_first(Path::new(prefix), "postgresql@"));
    }
    if let Some(path) = std::env::var_os("PATH") {
        directories
            .extend(std::env::split_paths(&path).filter(|directory| directory.is_absolute()));
    }
    directories
}

/// Where what we install without the system's package manager goes.
pub(super) fn install_dir() -> Result<PathBuf, Error> {
    Ok(state_dir("XDG_CACHE_HOME", ".cache")?.join("pg"))
}

/// The `bin` directories of the versions below `parent`, whose names are `prefix` and a number.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            Some((
                major_in_name(&entry.file_name(), prefix)?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versions.sort_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

/// The number at the front of what follows the prefix: `18` of `18.4.0-beta.17`.
fn major_in_name(name: &OsStr, prefix: &str) -> Option<u32> {
    let version = name.to_str()?.strip_prefix(prefix)?;
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// The major version in what `postgres --version` says: `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_of(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    let digits = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with programs that say they are this version.
    fn pretend(parent: &Path, name: &str, version: &str) -> PathBuf {
        let bin = parent.join(name).join("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in ["postgres", "initdb"] {
            let path = bin.join(program);
            fs::write(
                &path,
                format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"),
            )
            .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bin
    }

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        assert_eq!(
            major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("postgres: command not found"), None);
    }

    #[test]
    fn the_newest_version_is_looked_at_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9.6", "16", "14", "notes"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = newest_first(parent.path(), "");
        assert_eq!(
            found,
            ["16", "14", "9.6"].map(|name| parent.path().join(name).join("bin"))
        );
    }

    #[test]
    fn the_version_that_wrote_the_data_is_chosen_over_a_newer_one() {
        let parent = tempfile::tempdir().unwrap();
        let newer = pretend(parent.path(), "17", "17.2");
        let older = pretend(parent.path(), "15", "15.9");
        let directories = [newer.clone(), older.clone()];
        assert_eq!(
            search(&directories, None),
            Search::Found(Binaries {
                directory: newer,
                major: 17
            })
        );
        assert_eq!(
            search(&directories, Some(15)),
            Search::Found(Binaries {
                directory: older,
                major: 15
            })
        );
        assert_eq!(
            search(&directories, Some(16)),
            Search::OtherMajors(vec![17, 15])
        );
    }

    #[test]
    fn a_version_we_do_not_know_is_not_used() {
        let parent = tempfile::tempdir().unwrap();
        let directories = [
            pretend(parent.path(), "13", "13.20"),
            pretend(parent.path(), "19", "19.0"),
        ];
        assert_eq!(search(&directories, None), Search::Nothing);
    }
}
