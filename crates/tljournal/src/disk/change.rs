//! Moves, removes, dates and syncs entries.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::file::mtime_only;
use super::{Descent, Detail, Dir, DiskError, Step, Synced, Verb};
use crate::model::{Kind, Timestamp};

impl Dir {
    /// Renames an entry to a name that must not exist.
    ///
    /// # Errors
    /// [`DiskError`]; `EEXIST` when the name exists, `EXDEV` across filesystems.
    pub fn rename_new(
        &self,
        name: impl AsRef<OsStr>,
        to: &Self,
        new_name: &str,
    ) -> Result<(), DiskError> {
        self.rename(Verb::RenameNew, name.as_ref(), to, new_name)
    }

    /// Exchanges two entries atomically.
    ///
    /// # Errors
    /// [`DiskError`]; `ENOENT` when one is missing, `EINVAL` where the filesystem does not support it.
    pub fn exchange(&self, name: &str, other: &Self, other_name: &str) -> Result<(), DiskError> {
        self.rename(Verb::Exchange, name.as_ref(), other, other_name)
    }

    /// Whether a directory below can be renamed: an overlay cannot rename one of its lower layer. The test renames it
    /// over a non-empty directory, which every filesystem refuses with a different error.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn can_move(&self, name: &str, over: &Self, not_empty: &str) -> Result<bool, DiskError> {
        let other = || over.path.join(not_empty);
        let detail = Detail {
            other: Some(&other),
            ..Detail::default()
        };
        let path = || self.path.join(name);
        let asked = self.disk.call(Verb::RenameOver, path, detail, || {
            rustix::fs::renameat(&self.fd, name, &over.fd, not_empty)
        });
        match asked {
            Err(error) if error.is(Errno::XDEV) => Ok(false),
            Err(error) if error.is(Errno::NOTEMPTY) || error.is(Errno::EXIST) => Ok(true),
            // The other directory became empty meanwhile, so the rename succeeded: undo it.
            asked => asked.and_then(|()| over.rename_new(not_empty, self, name).map(|()| true)),
        }
    }

    /// Makes an overlay copy up a file or link of its lower layer, which changes its birth time. The entry itself is
    /// not changed.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn copy_up(&self, name: &str, scratch: &Self, scratch_name: &str) -> Result<(), DiskError> {
        let other = || scratch.path.join(scratch_name);
        let detail = Detail {
            other: Some(&other),
            ..Detail::default()
        };
        let path = || self.path.join(name);
        self.disk.call(Verb::HardLink, path, detail, || {
            rustix::fs::linkat(&self.fd, name, &scratch.fd, scratch_name, AtFlags::empty())
        })?;
        scratch.remove_file(scratch_name)
    }

    fn rename(&self, verb: Verb, from: &OsStr, to: &Self, name: &str) -> Result<(), DiskError> {
        let other = || to.path.join(name);
        let detail = Detail {
            other: Some(&other),
            ..Detail::default()
        };
        let flags = Self::rename_flags(verb == Verb::Exchange);
        self.disk.call(
            verb,
            || self.shown(from),
            detail,
            || rustix::fs::renameat_with(&self.fd, from.as_bytes(), &to.fd, name, flags),
        )
    }

    /// Removes a file or link.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> Result<(), DiskError> {
        self.unlink(Verb::RemoveFile, name.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> Result<(), DiskError> {
        self.unlink(Verb::RemoveDir, name.as_ref(), AtFlags::REMOVEDIR)
    }

    fn unlink(&self, verb: Verb, name: &OsStr, flags: AtFlags) -> Result<(), DiskError> {
        self.disk.call(
            verb,
            || self.shown(name),
            Detail::default(),
            || rustix::fs::unlinkat(&self.fd, name.as_bytes(), flags),
        )
    }

    /// Removes an entry with everything below it, read-only directories too. Links are not followed.
    ///
    /// # Errors
    /// [`DiskError`] for the first entry that cannot be removed.
    pub fn remove_tree(&self, name: impl AsRef<OsStr>) -> Result<(), DiskError> {
        let mut walk = Descent::through(self, vec![name.as_ref().to_owned()])?;
        while let Some(step) = walk.step()? {
            match step {
                Step::Entry(name) => remove_or_enter(&mut walk, &name)?,
                Step::Left(_, name) => walk.here().remove_dir(&name)?,
            }
        }
        Ok(())
    }

    /// Sets the permission bits of a directory below, which may be unreadable.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EPERM`, for root too, if the entry belongs to another user than this
    /// directory and this directory is not root's.
    pub fn set_dir_mode(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<(), DiskError> {
        self.set_mode_of(name.as_ref(), mode, OFlags::DIRECTORY)
    }

    pub(super) fn set_mode_of(
        &self,
        name: &OsStr,
        mode: u32,
        kind: OFlags,
    ) -> Result<(), DiskError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        self.disk.call(
            Verb::SetMode,
            || self.shown(name),
            detail,
            || {
                self.as_its_owner(|| {
                    let fd = rustix::fs::openat(&self.fd, name.as_bytes(), flags, Mode::empty())?;
                    // The magic link refers to the open inode, whatever has the name by now.
                    let held = format!("/proc/self/fd/{}", fd.as_raw_fd());
                    rustix::fs::chmod(held.as_str(), Mode::from_raw_mode(mode))
                })
            },
        )
    }

    /// Sets the directory's own permission bits and mtime.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn set_own_meta(&self, mode: u32, mtime: Timestamp) -> Result<(), DiskError> {
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        self.disk.call(
            Verb::SetMode,
            || self.path.clone(),
            detail,
            || self.as_owner_above(|| rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode))),
        )?;
        self.disk.call(
            Verb::SetTimes,
            || self.path.clone(),
            Detail::default(),
            || self.as_owner_above(|| rustix::fs::futimens(&self.fd, &mtime_only(mtime))),
        )
    }

    /// Sets the mtime of an entry; of the link itself if it is a link.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn set_mtime(&self, path: &str, mtime: Timestamp) -> Result<(), DiskError> {
        self.in_parent(path, |parent, name| {
            parent.disk.call(
                Verb::SetTimes,
                || parent.path.join(name),
                Detail::default(),
                || {
                    let (times, flags) = (mtime_only(mtime), AtFlags::SYMLINK_NOFOLLOW);
                    parent.as_its_owner(|| rustix::fs::utimensat(&parent.fd, name, &times, flags))
                },
            )
        })
    }

    /// Makes the directory's entries durable.
    ///
    /// # Errors
    /// [`DiskError`]; a second sync would prove nothing.
    pub fn sync(&self) -> Result<Synced, DiskError> {
        self.disk.call(
            Verb::SyncDir,
            || self.path.clone(),
            Detail::default(),
            || rustix::fs::fsync(&self.fd),
        )?;
        Ok(Synced::proof())
    }

    /// Makes the content of an existing file durable.
    ///
    /// # Errors
    /// [`DiskError`]; a second sync would prove nothing.
    pub fn sync_file(&self, path: &str) -> Result<Synced, DiskError> {
        let file = self.open_file(path)?;
        self.disk.call(
            Verb::SyncFile,
            || self.path.join(path),
            Detail::default(),
            || rustix::fs::fsync(&file),
        )?;
        Ok(Synced::proof())
    }

    /// Makes everything on the directory's filesystem durable, and reports every write-back error since this handle
    /// was opened.
    ///
    /// # Errors
    /// [`DiskError`]; a second sync would prove nothing.
    pub fn sync_filesystem(&self) -> Result<Synced, DiskError> {
        self.disk.call(
            Verb::SyncFilesystem,
            || self.path.clone(),
            Detail::default(),
            || rustix::fs::syncfs(&self.fd),
        )?;
        Ok(Synced::proof())
    }

    /// Makes the directory with everything below it durable: by syncing its whole filesystem, or entry by entry where
    /// `syncfs` does not reach the medium (FUSE).
    ///
    /// # Errors
    /// [`DiskError`]; a second sync would prove nothing.
    pub fn sync_tree(&self) -> Result<Synced, DiskError> {
        match self.filesystem()?.syncfs_reaches_medium {
            true => self.sync_filesystem(),
            false => self.sync_each(),
        }
    }

    fn sync_each(&self) -> Result<Synced, DiskError> {
        let mut walk = Descent::through(self, self.names()?)?;
        while let Some(step) = walk.step()? {
            let name = match step {
                Step::Entry(name) => name,
                Step::Left(dir, _) => {
                    dir.sync()?;
                    continue;
                }
            };
            match walk.here().stat(&name)?.map(|stat| stat.kind) {
                Some(Kind::Dir) => walk.enter(&name)?,
                Some(Kind::File) => match name.to_str() {
                    Some(name) => _ = walk.here().sync_file(name)?,
                    None => return Err(walk.here().error_at("sync", &name, Errno::ILSEQ)),
                },
                Some(Kind::Link | Kind::Other) | None => {}
            }
        }
        self.sync()
    }
}

/// Removes an entry of the current directory of a walk, or enters it if it is a directory that may hold something.
fn remove_or_enter(walk: &mut Descent, name: &OsStr) -> Result<(), DiskError> {
    let here = walk.here();
    let Some(stat) = here.stat(name)? else {
        return Ok(());
    };
    // A mounted filesystem is not the journal's to change, and its content not the journal's to remove.
    let mounted = |dir: &Dir| dir.error_at("remove the mount point", name, Errno::BUSY);
    if walk.is_mounted(&stat) {
        return Err(mounted(here));
    }
    if stat.kind != Kind::Dir {
        return here.remove_file(name);
    }
    if stat.mode & 0o700 != 0o700 {
        match here.set_dir_mode(name, stat.mode | 0o700) {
            // The entry belongs to another user.
            Err(error) if error.is(Errno::PERM) => {}
            set => set?,
        }
    }
    match walk.enter(name) {
        // An empty directory can be removed nevertheless.
        Err(error) if error.is(Errno::ACCESS) => walk.here().remove_dir(name).map_err(|_| error),
        Ok(()) if walk.is_in_mount() => Err(mounted(walk.here())),
        entered => entered,
    }
}
