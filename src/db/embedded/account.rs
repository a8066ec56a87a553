//! Who the server runs as: never root.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{Gid, Uid, User, geteuid};

use super::Error;

/// Those we may become when we are root, the better one first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The account the server runs as.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// Its name.
    pub(super) name: String,
    /// User and group to become, if that is not who we are.
    pub(super) change_to: Option<(Uid, Gid)>,
}

impl Account {
    /// The account for the cluster at `cluster`: the owner of what is there, for Postgres opens no other's files.
    pub(super) fn for_cluster(cluster: &Path) -> Result<Account, Error> {
        let owner = match fs::metadata(cluster) {
            Ok(metadata) => Some(metadata.uid()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::system("look at", cluster)(error)),
        };
        let ourselves = geteuid();
        if ourselves.is_root() {
            Account::below_root(cluster, owner)
        } else {
            Account::ourselves(ourselves, cluster, owner)
        }
    }

    /// As root: somebody else.
    fn below_root(cluster: &Path, owner: Option<u32>) -> Result<Account, Error> {
        let user = match owner {
            Some(0) => {
                return Err(Error::NotOwner {
                    path: cluster.to_owned(),
                    owner: 0,
                    account: "root".to_owned(),
                });
            }
            Some(owner) => named(Uid::from_raw(owner))?,
            None => first_unprivileged()?,
        };
        Ok(Account {
            name: user.name,
            change_to: Some((user.uid, user.gid)),
        })
    }

    /// As anybody else: ourselves.
    fn ourselves(ourselves: Uid, cluster: &Path, owner: Option<u32>) -> Result<Account, Error> {
        let user = named(ourselves)?;
        match owner {
            Some(owner) if owner != ourselves.as_raw() => Err(Error::NotOwner {
                path: cluster.to_owned(),
                owner,
                account: user.name,
            }),
            _ => Ok(Account {
                name: user.name,
                change_to: None,
            }),
        }
    }

    /// Makes a directory that only the account may enter, and gives it to it.
    pub(super) fn own_directory(&self, path: &Path) -> Result<(), Error> {
        fs::create_dir_all(path).map_err(Error::system("create", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(Error::system("close", path))?;
        let Some((uid, gid)) = self.change_to else {
            return Ok(());
        };
        chown(path, Some(uid.as_raw()), Some(gid.as_raw())).map_err(|source| {
            if source.kind() == ErrorKind::PermissionDenied {
                Error::MayNotBecome {
                    account: self.name.clone(),
                    detail: source.to_string(),
                }
            } else {
                Error::system("hand over", path)(source)
            }
        })
    }

    /// Whether the account can walk down to `path`; if not, the first directory on the way that is closed to it.
    /// Only asked when we are root: otherwise the system has already told us so.
    pub(super) fn check_way_to(&self, path: &Path) -> Result<(), Error> {
        let Some((uid, gid)) = self.change_to else {
            return Ok(());
        };
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for directory in above.into_iter().rev() {
            let metadata = fs::metadata(directory).map_err(Error::system("look at", directory))?;
            let bit = if metadata.uid() == uid.as_raw() {
                0o100
            } else if metadata.gid() == gid.as_raw() {
                0o010
            } else {
                0o001
            };
            if metadata.mode() & bit == 0 {
                let blocked_by = directory.to_owned();
                return Err(Error::Unreachable {
                    path: path.to_owned(),
                    blocked_by,
                    account: self.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// The entry of a user in the password file.
fn named(uid: Uid) -> Result<User, Error> {
    // A lookup that fails is as good as one that finds nothing: initdb will not fare better.
    User::from_uid(uid)
        .ok()
        .flatten()
        .ok_or(Error::Nameless { uid: uid.as_raw() })
}

/// The first account there is to run as.
fn first_unprivileged() -> Result<User, Error> {
    UNPRIVILEGED
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .ok_or(Error::NoAccount)
}
