use std::fs::File;

use super::flock::{LockError, Mode, try_exclusive, unlock};
use super::holder;
use super::wait::{self, Awaited, Wait};
use crate::disk::{Dir, DiskError};

const FILE: &str = "db";

/// Its display name; no named lock of a caller has this name.
pub(crate) const DB: &str = "lock/db";

/// The queue of the processes that write the database: `lock/db`, open.
#[derive(Debug)]
pub(crate) struct DbLock {
    dir: Dir,
    file: File,
}

/// The turn of one writer, until this is dropped.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub(crate) struct DbTurn<'a>(&'a File);

impl DbLock {
    pub(crate) fn open(dir: &Dir) -> Result<Self, DiskError> {
        Ok(Self {
            dir: dir.clone(),
            file: dir.open_lock_file(FILE)?,
        })
    }

    /// Waits for the turn.
    pub(crate) fn take(&mut self, wait: Wait<'_>) -> Result<DbTurn<'_>, LockError> {
        let path = self.dir.path().join(FILE);
        let failed = |errno| DiskError::new("lock", path.as_str(), errno);
        if !try_exclusive(&self.file).map_err(failed)? {
            // A waiter that gave up may get the lock later, through a description that only its thread uses.
            let file = self.dir.open_lock_file(FILE)?;
            let ino = self.dir.stat_open(&file)?.identity.ino;
            let awaited = Awaited {
                name: DB,
                path,
                mode: Mode::Exclusive,
                holder: &|| holder::of_inode(ino),
            };
            (self.file, _) = wait::in_line(&awaited, Vec::new(), file, wait)?;
        }
        Ok(DbTurn(&self.file))
    }
}

impl Drop for DbTurn<'_> {
    /// Unlocks explicitly, because the file stays open.
    fn drop(&mut self) {
        if let Err(errno) = unlock(self.0) {
            tracing::debug!(%errno, "failed to unlock the database queue; closing the file releases it");
        }
    }
}
