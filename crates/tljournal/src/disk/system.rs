use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Dir, DiskError};
use crate::ambient;
use crate::model::Timestamp;

/// The name of a filesystem, and whether a journal can have its home there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesystemKind {
    /// Its name, or its magic number in hexadecimal.
    pub name: String,
    /// Why two processes or machines may not exclude each other there; `None` if they do.
    pub unsuitable: Option<&'static str>,
    /// Whether `syncfs` reaches the medium.
    pub syncfs_reaches_medium: bool,
    /// Whether it is an overlay, whose lower layer is copied up by the first change.
    pub is_overlay: bool,
}

/// Features of a filesystem, determined by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Two entries can be exchanged atomically.
    pub exchange: bool,
    /// Inodes have a birth time.
    pub birth_times: bool,
}

const NETWORK: &str = "the index of SQLite's write-ahead log cannot be shared there";

impl Dir {
    /// The filesystem of the directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn filesystem(&self) -> Result<FilesystemKind, DiskError> {
        let told = rustix::fs::fstatfs(self).map_err(|errno| self.error("look at", errno))?;
        #[allow(
            clippy::unnecessary_cast,
            reason = "the width of the field differs by architecture"
        )]
        let magic = told.f_type as u64 & 0xffff_ffff;
        let (name, unsuitable) = match magic {
            0xef53 => ("ext4", None),
            0x5846_5342 => ("xfs", None),
            0x9123_683e => ("btrfs", None),
            0x0102_1994 => ("tmpfs", None),
            0x794c_7630 => ("overlay", None),
            0x6573_5546 => ("fuse", None),
            0x6175_6673 => ("aufs", None),
            0x2fc1_2fc1 => ("zfs", None),
            0xf2f5_2010 => ("f2fs", None),
            0x6969 => ("nfs", Some(NETWORK)),
            0x0102_1997 => ("9p", Some(NETWORK)),
            0xff53_4d42 | 0xfe53_4d42 | 0x517b => ("smb", Some(NETWORK)),
            0x00c3_6400 => ("ceph", Some(NETWORK)),
            0x5346_414f => ("afs", Some(NETWORK)),
            _ => ("", None),
        };
        Ok(FilesystemKind {
            name: if name.is_empty() {
                format!("{magic:#x}")
            } else {
                name.to_owned()
            },
            unsuitable,
            syncfs_reaches_medium: name != "fuse" && !self.disk.lacks().syncfs,
            is_overlay: match name {
                "overlay" | "aufs" => true,
                "fuse" => self.is_overlay_in_user_space()?,
                _ => false,
            },
        })
    }

    /// Whether a FUSE filesystem is an overlay, and so cannot rename every directory. If that is unknown it counts as
    /// one, and renames are tried.
    fn is_overlay_in_user_space(&self) -> Result<bool, DiskError> {
        let dev = self.own_stat()?.dev;
        let device = (rustix::fs::major(dev), rustix::fs::minor(dev));
        let mut mounts = ambient::mounts().into_iter();
        let mount = mounts.find(|mount| mount.device == device);
        let layered = |kind: &str| {
            ["overlay", "union", "merger"]
                .iter()
                .any(|it| kind.contains(it))
        };
        Ok(mount.is_none_or(|mount| layered(&mount.kind)))
    }

    /// Whether the filesystem's block size is smaller than a memory page.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn has_small_blocks(&self) -> Result<bool, DiskError> {
        let told = rustix::fs::fstatvfs(self).map_err(|errno| self.error("look at", errno))?;
        Ok(told.f_frsize < 4096)
    }

    /// Refuses content that is larger than the free space, before any of it is written.
    ///
    /// # Errors
    /// [`DiskError`] with `ENOSPC` if it is larger.
    pub fn refuse_larger_than_free(&self, name: &str, bytes: u64) -> Result<(), DiskError> {
        let told = rustix::fs::fstatvfs(self).map_err(|errno| self.error("look at", errno))?;
        let free = told.f_bfree.saturating_mul(told.f_frsize);
        // Some filesystems do not know their size.
        match told.f_blocks > 0 && bytes > free {
            true => Err(self.error_at("write", name, Errno::NOSPC)),
            false => Ok(()),
        }
    }

    /// Tries, in this directory, whether `RENAME_NOREPLACE` works. Only one process at a time may do this.
    ///
    /// # Errors
    /// [`DiskError`] when files cannot be created.
    pub fn renames_replace_nothing(&self, scratch: &str) -> Result<bool, DiskError> {
        let renamed = format!("{scratch}.to");
        for name in [scratch, renamed.as_str()] {
            // A process that was killed during an earlier try may have left the files.
            if self.stat(name)?.is_some() {
                self.remove_file(name)?;
            }
        }
        drop(self.create_file(scratch, 0o600)?);
        match self.rename_new(scratch, self, &renamed) {
            Ok(()) => self.remove_file(&renamed).map(|()| true),
            Err(error) => {
                self.remove_file(scratch)?;
                if error.is_missing_feature() {
                    return Ok(false);
                }
                Err(error)
            }
        }
    }

    /// Tries, in this directory, what its filesystem supports. Only one process at a time may do this.
    ///
    /// # Errors
    /// [`DiskError`] when files cannot be created.
    pub fn try_features(&self, scratch: &str) -> Result<Features, DiskError> {
        let (one, two) = (format!("{scratch}.1"), format!("{scratch}.2"));
        let clear = || -> Result<(), DiskError> {
            for name in [&one, &two] {
                if self.stat(name)?.is_some() {
                    self.remove_file(name)?;
                }
            }
            Ok(())
        };
        // A process that was killed during an earlier try may have left the files.
        clear()?;
        let first = self.create_file(&one, 0o600)?;
        let tried = (|| {
            let birth_times = first.stat()?.identity.born != Timestamp::default();
            drop(self.create_file(&two, 0o600)?);
            let exchange = match self.exchange(&one, self, &two) {
                Ok(()) => true,
                Err(error) if error.is_missing_feature() => false,
                Err(error) => return Err(error),
            };
            Ok(Features {
                exchange,
                birth_times,
            })
        })();
        clear()?;
        tried
    }

    /// Whether `flock` excludes between two open file descriptions of a file here.
    ///
    /// # Errors
    /// [`DiskError`] when the file cannot be opened or the lock call itself fails.
    pub fn flock_excludes(&self, name: &str) -> Result<bool, DiskError> {
        use rustix::fs::{FlockOperation, flock};
        let error = |errno| DiskError::new("try a lock on", self.path().join(name).as_str(), errno);
        let open = || {
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(self, name, flags, Mode::empty()).map_err(error)
        };
        if self.disk.lacks().flock {
            return Err(error(Errno::NOSYS));
        }
        let (one, two) = (open()?, open()?);
        match flock(&one, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(flock(&two, FlockOperation::NonBlockingLockExclusive).is_err()),
            // Another process holds it, so the lock excludes.
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(error(errno)),
        }
    }

    /// Disables copy-on-write for an empty file, where that exists (btrfs).
    pub fn set_nocow(&self, name: &str) {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::openat(self, name, flags, Mode::empty()) {
            // Other filesystems refuse the flag and do not need it.
            let _ = rustix::fs::ioctl_setflags(&file, rustix::fs::IFlags::NOCOW);
        }
    }

    /// The directory's current real path, from `/proc`.
    ///
    /// # Errors
    /// [`DiskError`] where `/proc` is missing or the path is not UTF-8.
    pub fn real_path(&self) -> Result<camino::Utf8PathBuf, DiskError> {
        real_path_of(self).map_err(|errno| self.error("find the real path of", errno))
    }

    /// Whether this process may read and write a file of the journal; used only for files of another user.
    pub(crate) fn may_use(&self, name: &str, stat: &crate::model::Stat) -> bool {
        let may = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
        rustix::process::geteuid().as_raw() == stat.uid
            || rustix::fs::accessat(self, name, may, AtFlags::EACCESS).is_ok()
    }

    /// Whether this process may write here.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.check_writable().is_ok()
    }

    /// The same, with the reason.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn check_writable(&self) -> Result<(), DiskError> {
        rustix::fs::accessat(self, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
            .map_err(|errno| self.error("change", errno))
    }

    pub(super) fn rename_flags(exchange: bool) -> RenameFlags {
        if exchange {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::NOREPLACE
        }
    }
}

/// Whether this thread, with its current rights, may search the directory at a path.
pub(crate) fn may_enter(path: &camino::Utf8Path) -> bool {
    let (may, flags) = (rustix::fs::Access::EXEC_OK, AtFlags::EACCESS);
    rustix::fs::accessat(rustix::fs::CWD, path.as_str(), may, flags).is_ok()
}

/// Whether a directory is one of `/proc`.
pub(super) fn is_proc(dir: impl AsFd) -> Result<bool, Errno> {
    Ok(rustix::fs::fstatfs(dir)?.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

pub(super) fn real_path_of(fd: impl AsFd) -> Result<camino::Utf8PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let real = rustix::fs::readlinkat(rustix::fs::CWD, link.as_str(), Vec::new())?;
    let real = real.into_string().map_err(|_| Errno::ILSEQ)?;
    Ok(real.into())
}
