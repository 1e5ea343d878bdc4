//! Gives the owner permissions for closed entries, so that they can be searched or removed.

use std::ffi::OsStr;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::acting::is_root;
use super::{Descent, Dir, DiskError, Step};
use crate::model::{Kind, Stat};

/// The owner may list, change and enter a directory.
const ALL_FOR_OWNER: u32 = 0o700;

impl Dir {
    /// Gives their owner all permissions for the directories of a tree, as far as this user may. Directories of other
    /// users stay closed. A mount point is not entered.
    pub(crate) fn open_closed(&self, name: &OsStr) {
        // Root needs no permissions.
        if is_root() {
            return;
        }
        if let Err(error) = self.try_open_closed(name) {
            tracing::debug!(%error, "the other directories stay closed");
        }
    }

    fn try_open_closed(&self, name: &OsStr) -> Result<(), DiskError> {
        let mut walk = Descent::through(self, vec![name.to_owned()])?;
        while let Some(step) = walk.step()? {
            let Step::Entry(name) = step else {
                continue;
            };
            let Ok(Some(stat)) = walk.here().stat(&name) else {
                continue;
            };
            if stat.kind != Kind::Dir || walk.is_mounted(&stat) {
                continue;
            }
            let mode = stat.mode | ALL_FOR_OWNER;
            if mode != stat.mode
                && let Err(error) = walk.here().set_dir_mode(&name, mode)
            {
                tracing::debug!(%error, "a directory stays closed");
            }
            match walk.enter(&name) {
                Err(error) if error.is(Errno::ACCESS) => {}
                entered => entered?,
            }
        }
        Ok(())
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
