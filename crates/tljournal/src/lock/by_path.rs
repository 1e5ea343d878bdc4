use std::fs::File;

use camino::Utf8Path;

use super::flock::{Held, LockError, Mode};
use super::holder;
use super::wait::{self, Awaited, Wait};
use crate::disk::Disk;
use crate::model::{Identity, Stat};

/// A lock file that the caller named by its path, open and not locked yet.
///
/// It excludes every program that calls flock(2) on that path, including flock(1). Such programs do not use the
/// turnstile, so overlapping readers can starve a writer. Nothing is written into the file, because it may belong to
/// another program.
pub(crate) struct ByPath<'a> {
    disk: &'a Disk,
    path: &'a Utf8Path,
    file: File,
    dev: u64,
    pub(crate) identity: Identity,
}

impl<'a> ByPath<'a> {
    /// Opens the file, and creates it if it is missing.
    pub(crate) fn open(disk: &'a Disk, path: &'a Utf8Path) -> Result<Self, LockError> {
        let file = disk.open_lock_at(path)?;
        let Stat { dev, identity, .. } = disk.stat_open(&file, path.as_str())?;
        Ok(Self {
            disk,
            path,
            file,
            dev,
            identity,
        })
    }

    /// Its position in the lock order of all files; the same for every name of the file.
    pub(crate) fn order(&self) -> (u64, u64) {
        (self.dev, self.identity.ino)
    }

    /// Locks it. `None` if the path names another file by now: a process that locks that file would not be excluded.
    pub(crate) fn lock(self, mode: Mode, wait: Wait<'_>) -> Result<Option<Held>, LockError> {
        let awaited = Awaited {
            name: self.path.as_str(),
            path: self.path.to_owned(),
            mode,
            holder: &|| holder::of_inode(self.identity.ino),
        };
        let (file, waited) = wait::in_line(&awaited, Vec::new(), self.file, wait)?;
        let named = self.disk.stat_at(self.path)?.map(|stat| stat.identity);
        let held = Held::new(file, waited);
        Ok((named == Some(self.identity)).then_some(held))
    }
}
