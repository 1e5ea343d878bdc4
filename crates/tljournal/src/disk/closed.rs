//! Gives the owner permissions for closed entries, so that they can be searched or removed.

use std::ffi::OsStr;

use rustix::fs::OFlags;

use super::acting::is_root;
use super::{Dir, DiskError, LEVELS_MAX};
use crate::model::{Kind, Stat};

/// The owner may list, change and enter a directory.
const ALL_FOR_OWNER: u32 = 0o700;

impl Dir {
    /// Gives their owner all permissions for the directories of a tree, as far as this user may. Directories of other
    /// users stay closed. A mount point is not entered.
    pub(crate) fn open_closed(&self, name: &OsStr) {
        // Root needs no permissions.
        if !is_root() {
            self.open_closed_down_to(name, LEVELS_MAX);
        }
    }

    fn open_closed_down_to(&self, name: &OsStr, levels: u32) {
        let (Ok(Some(stat)), Ok(here)) = (self.stat(name), self.own_stat()) else {
            return;
        };
        let is_mounted = (here.dev, here.mount) != (stat.dev, stat.mount);
        if stat.kind != Kind::Dir || is_mounted || levels == 0 {
            return;
        }
        if stat.mode & ALL_FOR_OWNER != ALL_FOR_OWNER
            && let Err(error) = self.set_dir_mode(name, stat.mode | ALL_FOR_OWNER)
        {
            tracing::debug!(%error, "a directory stays closed");
        }
        let Ok(inside) = self.open_child(name) else {
            return;
        };
        for entry in inside.names().unwrap_or_default() {
            inside.open_closed_down_to(&entry, levels - 1);
        }
    }

    /// Runs `read` while this user's own file is readable for its owner.
    ///
    /// # Errors
    /// [`DiskError`] when the permission bits cannot be set.
    pub(crate) fn while_readable<T>(
        &self,
        name: &OsStr,
        stat: &Stat,
        read: impl FnOnce() -> T,
    ) -> Result<T, DiskError> {
        self.set_mode_of(name, stat.mode | 0o400, OFlags::empty())?;
        let read = read();
        self.set_mode_of(name, stat.mode, OFlags::empty())?;
        Ok(read)
    }
}
