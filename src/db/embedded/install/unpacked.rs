//! An archive on its way from a registry to a directory of ours.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

use crate::db::embedded::Error;
use crate::db::embedded::find::Binaries;

/// What is pinned for the processor of this machine: the platform's name and the checksum.
pub(super) fn pinned_for_this_machine(
    packages: [(&str, &'static str, &'static str); 2],
) -> Result<(&'static str, &'static str), Error> {
    let found = packages
        .into_iter()
        .find(|&(processor, ..)| processor == std::env::consts::ARCH);
    let found = found.filter(|_| cfg!(target_os = "linux"));
    found
        .map(|(_, platform, checksum)| (platform, checksum))
        .ok_or(Error::NoBuild)
}

/// A directory beside its place, removed again unless it is finished.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Where it is filled.
    unfinished: PathBuf,
    /// Where it will be.
    place: PathBuf,
}

impl Unpacked {
    /// An empty directory, that will become `name` below `directory`.
    pub(super) fn begin(directory: &Path, name: String) -> Result<Unpacked, Error> {
        let unfinished = directory.join(format!(".unfinished-{name}-{}", std::process::id()));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(Error::system("remove", &unfinished))?;
        }
        fs::create_dir_all(&unfinished).map_err(Error::system("create", &unfinished))?;
        Ok(Unpacked {
            unfinished,
            place: directory.join(name),
        })
    }

    /// Where to work.
    pub(super) fn path(&self) -> &Path {
        &self.unfinished
    }

    /// What was fetched.
    pub(super) fn only_file(&self, extension: &str) -> Result<PathBuf, Error> {
        let entries =
            fs::read_dir(&self.unfinished).map_err(Error::system("read", &self.unfinished))?;
        let mut files = entries.flatten().map(|entry| entry.path());
        let missing = || Error::NothingFetched {
            directory: self.unfinished.clone(),
        };
        files
            .find(|path| path.extension().is_some_and(|found| found == extension))
            .ok_or_else(missing)
    }

    /// Puts it into its place, with its programs in `bin`, if they work.
    pub(super) fn finish(self, bin: &str) -> Result<Binaries, Error> {
        for extension in ["tgz", "whl"] {
            if let Ok(archive) = self.only_file(extension) {
                fs::remove_file(&archive).map_err(Error::system("remove", archive))?;
            }
        }
        open_for_all(&self.unfinished, false)?;
        let link = self.unfinished.join("bin");
        symlink(bin, &link).map_err(Error::system("create", &link))?;
        Binaries::in_directory(&link).ok_or_else(|| Error::NoBinariesThere {
            directory: link.clone(),
        })?;
        let place = self.place.join("bin");
        if let Err(source) = fs::rename(&self.unfinished, &self.place) {
            // Somebody else may have been quicker; theirs is as good.
            return Binaries::in_directory(&place)
                .ok_or_else(|| Error::system("create", &self.place)(source));
        }
        Binaries::in_directory(&place).ok_or(Error::NoBinariesThere { directory: place })
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // Already gone if it was finished; and if it stays, the next one replaces it.
        drop(fs::remove_dir_all(&self.unfinished));
    }
}

/// Compares a file with its checksum, in base64.
pub(super) fn check<D: Digest>(file: &Path, expected: &str) -> Result<(), Error> {
    let content = fs::read(file).map_err(Error::system("read", file))?;
    if STANDARD.encode(D::digest(&content)) == expected {
        return Ok(());
    }
    Err(Error::Altered {
        file: file.file_name().unwrap_or_default().to_owned(),
    })
}

/// Lets every user read it, and run what lies in a `bin`: the server is seldom run by the one who installs it.
fn open_for_all(path: &Path, programs: bool) -> Result<(), Error> {
    let metadata = fs::symlink_metadata(path).map_err(Error::system("look at", path))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = if metadata.is_dir() || programs {
        0o755
    } else {
        0o644
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(Error::system("open", path))?;
    if !metadata.is_dir() {
        return Ok(());
    }
    let programs = path.file_name().is_some_and(|name| name == "bin");
    let entries = fs::read_dir(path).map_err(Error::system("read", path))?;
    entries
        .flatten()
        .try_for_each(|entry| open_for_all(&entry.path(), programs))
}

#[cfg(test)]
mod tests {
    use sha2::Sha256;

    use super::*;

    #[test]
    fn a_file_with_another_checksum_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("package.tgz");
        fs::write(&file, "hello world").unwrap();
        let known = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
        check::<Sha256>(&file, known).unwrap();
        fs::write(&file, "hello, world").unwrap();
        let refused = check::<Sha256>(&file, known).unwrap_err();
        assert!(matches!(refused, Error::Altered { file } if file == "package.tgz"));
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let unpacked = Unpacked::begin(directory.path(), "18-test".to_owned()).unwrap();
        fs::write(unpacked.path().join("package.tgz"), "").unwrap();
        assert!(matches!(
            unpacked.finish("bin"),
            Err(Error::NoBinariesThere { .. })
        ));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
