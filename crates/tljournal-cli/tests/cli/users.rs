//! Commands of several users in one project.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::world::{Done, Project, done};

/// An ordinary user.
pub(crate) const OWNER: u32 = 54_321;
/// Another one.
pub(crate) const OTHER: u32 = 54_322;
/// A group that several users are in.
pub(crate) const GROUP: u32 = 54_999;
/// A member of that group who owns nothing.
pub(crate) const MEMBER: u32 = 54_323;
/// The superuser.
pub(crate) const ROOT: u32 = 0;

/// Whether commands can be run as several users; they must be if `TLJOURNAL_INSIST` is set.
pub(crate) fn there_are_users() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    assert!(
        is_root || std::env::var_os("TLJOURNAL_INSIST").is_none(),
        "only root can run commands as other users"
    );
    if !is_root {
        eprintln!("skipped: only root can run commands as other users");
    }
    is_root
}

pub(crate) fn set_mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Sets an extended attribute.
pub(crate) fn set_attribute(path: impl AsRef<Path>, name: &str, value: &[u8]) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path.as_ref(), name, value, flags).unwrap();
}

impl Project {
    /// A project of an ordinary user, with a journal.
    pub(crate) fn of_owner() -> Self {
        let project = Self::bare();
        set_mode(project.path(), 0o755);
        chown(project.path(), Some(OWNER), Some(OWNER)).unwrap();
        project.ok_as(OWNER, &["init"]);
        project
    }

    /// Runs a command as a user.
    pub(crate) fn run_as(&self, user: u32, args: &[&str]) -> Done {
        let mut command = self.command(args);
        if user != ROOT {
            command.uid(user).gid(user);
        }
        done(command.output().unwrap())
    }

    /// Runs a command as a user who is in [`GROUP`].
    pub(crate) fn run_in_group(&self, user: u32, args: &[&str]) -> Done {
        let mut command = self.command(args);
        done(command.uid(user).gid(GROUP).output().unwrap())
    }

    /// Runs a command as a user, which must succeed.
    pub(crate) fn ok_as(&self, user: u32, args: &[&str]) -> Done {
        let done = self.run_as(user, args);
        assert_eq!(done.code, 0, "user {user}, {args:?}: {done:?}");
        done
    }

    /// Creates a file that belongs to a user.
    pub(crate) fn write_as(&self, user: u32, path: &str, content: &str) {
        self.write(path, content);
        chown(self.at(path), Some(user), Some(user)).unwrap();
    }
}

/// Everything at and below a path, links not followed.
pub(crate) fn all_below(path: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let meta = fs::symlink_metadata(path).unwrap();
    let mut found = vec![(path.to_owned(), meta.clone())];
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(all_below(&entry.unwrap().path()));
        }
    }
    found
}

/// Entries of root at or below a path. A file with several hard links is excluded.
pub(crate) fn of_root(path: &Path) -> Vec<String> {
    let found = all_below(path).into_iter();
    let found = found.filter(|(_, meta)| {
        let has_one_name = meta.is_dir() || meta.nlink() == 1;
        has_one_name && (meta.uid() == ROOT || meta.gid() == ROOT)
    });
    found.map(|(path, _)| path.display().to_string()).collect()
}
