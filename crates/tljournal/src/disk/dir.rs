use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::file::mtime_only;
use super::resolve::open_beneath;
use super::{Detail, Disk, DiskError, NewFile, Synced, Verb};
use crate::model::{Identity, Kind, Stat, Timestamp};

/// An open directory: everything below it is reached through it, and nothing else is.
#[derive(Debug, Clone)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    path: Utf8PathBuf,
    disk: Disk,
}

const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory by a path that the caller vouches for: links on the way are followed.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn open(path: &Utf8Path, disk: Disk) -> Result<Self, DiskError> {
        let fd = rustix::fs::open(path.as_str(), DIR_FLAGS, Mode::empty())
            .map_err(|errno| DiskError::new("open the directory", path.as_str(), errno))?;
        Ok(Self {
            fd: Arc::new(fd),
            path: path.to_owned(),
            disk,
        })
    }

    /// Opens a directory below this one, through no link.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says; `ELOOP` when a link is on the way.
    pub fn open_dir(&self, path: &str) -> Result<Self, DiskError> {
        let fd = open_beneath(&self.fd, path, DIR_FLAGS, Mode::empty())
            .map_err(|errno| self.error_at("open the directory", path, errno))?;
        Ok(self.child(fd, path))
    }

    /// Opens a directory right below this one, whose name need not be UTF-8.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn open_child(&self, name: &OsStr) -> Result<Self, DiskError> {
        let flags = DIR_FLAGS | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, name.as_bytes(), flags, Mode::empty())
            .map_err(|errno| self.error_at("open the directory", name, errno))?;
        Ok(self.child(fd, &name.to_string_lossy()))
    }

    /// The directory that this one lies in.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn parent(&self) -> Result<Self, DiskError> {
        let fd = rustix::fs::openat(&self.fd, "..", DIR_FLAGS, Mode::empty())
            .map_err(|errno| self.error("open the directory above", errno))?;
        Ok(self.child(fd, ".."))
    }

    /// The same directory through a description of its own, for a lock of its own.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn reopen(&self) -> Result<Self, DiskError> {
        let fd = rustix::fs::openat(&self.fd, ".", DIR_FLAGS, Mode::empty())
            .map_err(|errno| self.error("open the directory", errno))?;
        Ok(Self {
            fd: Arc::new(fd),
            path: self.path.clone(),
            disk: self.disk.clone(),
        })
    }

    fn child(&self, fd: OwnedFd, path: &str) -> Self {
        Self {
            fd: Arc::new(fd),
            path: self.path.join(path),
            disk: self.disk.clone(),
        }
    }

    /// The path it was opened by, for messages.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The way to the filesystem that this directory uses.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What the directory itself is.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn own_stat(&self) -> Result<Stat, DiskError> {
        stat_fd(&self.fd).map_err(|errno| self.error("look at", errno))
    }

    /// What its path names now, links followed; `None` if nothing.
    ///
    /// # Errors
    /// [`DiskError`] when the filesystem cannot say.
    pub fn stat_by_path(&self) -> Result<Option<Stat>, DiskError> {
        match statx(
            rustix::fs::CWD,
            self.path.as_str().as_bytes(),
            AtFlags::empty(),
        ) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(self.error("look at", errno)),
        }
    }

    /// What an open file of this directory is.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn stat_open(&self, file: &File) -> Result<Stat, DiskError> {
        stat_fd(file).map_err(|errno| self.error("look at a file of", errno))
    }

    /// What an entry is; `None` if there is none. A link is looked at, not followed.
    ///
    /// # Errors
    /// [`DiskError`] when the filesystem cannot say.
    pub fn stat(&self, path: impl AsRef<OsStr>) -> Result<Option<Stat>, DiskError> {
        let path = path.as_ref();
        match statx(&self.fd, path.as_bytes(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error_at("look at", path, errno)),
        }
    }

    /// The names of all entries, in no order.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn names(&self) -> Result<Vec<OsString>, DiskError> {
        let error = |errno| self.error("list", errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(error)? {
            let name = entry.map_err(error)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(std::os::unix::ffi::OsStringExt::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Where a symbolic link points.
    ///
    /// # Errors
    /// [`DiskError`] when it is no link, or points to something that is not UTF-8.
    pub fn read_link(&self, name: &str) -> Result<String, DiskError> {
        let error = |errno| self.error_at("read the link", name, errno);
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).map_err(error)?;
        target.into_string().map_err(|_| error(Errno::ILSEQ))
    }

    /// Opens a file to read it, through no link, and without waiting for whoever a fifo belongs to.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn open_file(&self, path: &str) -> Result<File, DiskError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        open_beneath(&self.fd, path, flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| self.error_at("open", path, errno))
    }

    /// The content of a small file of ours; `None` if it is missing. Longer ones are cut.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn read_small(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let file = match self.open_file(path) {
            Ok(file) => file,
            Err(error) if error.is(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        match file.take(bytes_max).read_to_end(&mut content) {
            Ok(_) => Ok(Some(content)),
            Err(source) => Err(DiskError::new(
                "read",
                self.path.join(path).as_str(),
                source,
            )),
        }
    }

    /// Opens a lock file, made if it is missing; its content is for people.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn open_lock_file(&self, path: &str) -> Result<File, DiskError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
        let open = |flags, mode| open_beneath(&self.fd, path, flags, mode);
        match open(flags, Mode::empty()) {
            Err(Errno::NOENT) => self.disk.call(
                Verb::CreateFile,
                || self.path.join(path),
                Detail::default(),
                || open(flags | OFlags::CREATE, Mode::from_raw_mode(0o644)),
            ),
            opened => opened.map_err(|errno| self.error_at("open", path, errno)),
        }
        .map(File::from)
    }

    /// Creates a file that was not there, for reading and writing.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn create_file(&self, path: &str, mode: u32) -> Result<NewFile, DiskError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let shown = || self.path.join(path);
        let fd = self
            .disk
            .call(Verb::CreateFile, shown, Detail::default(), || {
                open_beneath(&self.fd, path, flags, Mode::from_raw_mode(mode))
            })?;
        Ok(NewFile::new(fd.into(), self.disk.clone(), shown()))
    }

    /// Replaces what stands in a file of ours that only people read. Not atomic, not durable.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn overwrite(&self, file: &File, name: &str, text: &str) -> Result<(), DiskError> {
        let shown = || self.path.join(name);
        let cut = Detail {
            offset: text.len() as u64,
            ..Detail::default()
        };
        let write = Detail {
            data: text.as_bytes(),
            ..Detail::default()
        };
        self.disk.call(Verb::Write, shown, write, || {
            rustix::io::pwrite(file, text.as_bytes(), 0)
        })?;
        self.disk.call(Verb::Truncate, shown, cut, || {
            rustix::fs::ftruncate(file, text.len() as u64)
        })
    }

    /// Makes sure that a file of ours occupies `bytes`, really written.
    ///
    /// # Errors
    /// [`DiskError`] when there is no room; what was written is removed then.
    pub fn fill_file(&self, name: &str, bytes: usize) -> Result<(), DiskError> {
        let mut file = self.create_file(name, 0o600)?;
        if let Err(source) = file.write_all(&vec![0x5a; bytes]) {
            self.remove_file(name)?;
            return Err(DiskError::new(
                "write",
                self.path.join(name).as_str(),
                source,
            ));
        }
        Ok(())
    }

    /// Opens a file that is there already, to be synced like a new one.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn adopt_file(&self, path: &str) -> Result<NewFile, DiskError> {
        let file = self.open_file(path)?;
        Ok(NewFile::new(file, self.disk.clone(), self.path.join(path)))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says; `EEXIST` when something has the name.
    pub fn make_dir(&self, path: &str, mode: u32) -> Result<(), DiskError> {
        self.in_parent(path, |parent, name| {
            let detail = Detail {
                offset: mode.into(),
                ..Detail::default()
            };
            parent.disk.call(
                Verb::MakeDir,
                || parent.path.join(name),
                detail,
                || rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(mode)),
            )
        })
    }

    /// Makes a directory if it is missing, and opens it.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn ensure_dir(&self, name: &str, mode: u32) -> Result<Self, DiskError> {
        match self.open_dir(name) {
            Err(error) if error.is(Errno::NOENT) => {
                match self.make_dir(name, mode) {
                    Err(error) if !error.is(Errno::EXIST) => return Err(error),
                    _ => {}
                }
                self.open_dir(name)
            }
            opened => opened,
        }
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn make_link(&self, target: &str, path: &str) -> Result<(), DiskError> {
        self.in_parent(path, |parent, name| {
            let detail = Detail {
                data: target.as_bytes(),
                ..Detail::default()
            };
            parent.disk.call(
                Verb::MakeLink,
                || parent.path.join(name),
                detail,
                || rustix::fs::symlinkat(target, &parent.fd, name),
            )
        })
    }

    /// Gives the file at `from` a second name.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn hard_link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.in_parent(from, |source, from| {
            self.in_parent(to, |parent, name| {
                let other = || parent.path.join(name);
                let detail = Detail {
                    other: Some(&other),
                    ..Detail::default()
                };
                parent.disk.call(
                    Verb::HardLink,
                    || source.path.join(from),
                    detail,
                    || rustix::fs::linkat(&source.fd, from, &parent.fd, name, AtFlags::empty()),
                )
            })
        })
    }

    /// Gives a file that the caller names, wherever it lies, a second name here.
    ///
    /// # Errors
    /// [`DiskError`]; `EXDEV` across filesystems.
    pub fn link_from(&self, path: &Utf8Path, name: &str) -> Result<(), DiskError> {
        let other = || self.path.join(name);
        let detail = Detail {
            other: Some(&other),
            ..Detail::default()
        };
        self.disk.call(
            Verb::HardLink,
            || path.to_owned(),
            detail,
            || {
                let here = rustix::fs::CWD;
                rustix::fs::linkat(here, path.as_str(), &self.fd, name, AtFlags::empty())
            },
        )
    }

    /// Hashes an open file of this directory.
    ///
    /// # Errors
    /// [`DiskError`] when it cannot be read.
    pub fn hash(&self, file: &File, name: &str) -> Result<crate::model::Digest, DiskError> {
        self.disk.hash(file, &self.path.join(name))
    }

    /// Renames an entry to a name that must be free.
    ///
    /// # Errors
    /// [`DiskError`]; `EEXIST` when the name is taken, `EXDEV` across filesystems.
    pub fn rename_new(&self, name: &str, to: &Self, new_name: &str) -> Result<(), DiskError> {
        self.rename(Verb::RenameNew, name, to, new_name)
    }

    /// Swaps two entries in one step.
    ///
    /// # Errors
    /// [`DiskError`]; `ENOENT` when one is missing, `EINVAL` where the filesystem cannot.
    pub fn exchange(&self, name: &str, other: &Self, other_name: &str) -> Result<(), DiskError> {
        self.rename(Verb::Exchange, name, other, other_name)
    }

    fn rename(&self, verb: Verb, from: &str, to: &Self, name: &str) -> Result<(), DiskError> {
        let other = || to.path.join(name);
        let detail = Detail {
            other: Some(&other),
            ..Detail::default()
        };
        let flags = Self::rename_flags(verb == Verb::Exchange);
        self.disk.call(
            verb,
            || self.path.join(from),
            detail,
            || rustix::fs::renameat_with(&self.fd, from, &to.fd, name, flags),
        )
    }

    /// Removes a file or link.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> Result<(), DiskError> {
        self.unlink(Verb::RemoveFile, name.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
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
        let name = name.as_ref();
        match self.stat(name)? {
            None => return Ok(()),
            Some(stat) if stat.kind != Kind::Dir => return self.remove_file(name),
            Some(stat) if stat.mode & 0o700 != 0o700 => {
                self.set_dir_mode(name, stat.mode | 0o700)?
            }
            Some(_) => {}
        }
        let inside = self.open_child(name)?;
        let (here, there) = (self.own_stat()?, inside.own_stat()?);
        if (here.dev, here.mount) != (there.dev, there.mount) {
            // Somebody mounted something there: its content is not ours to remove.
            return Err(self.error_at("remove the mount point", name, Errno::BUSY));
        }
        for entry in inside.names()? {
            inside.remove_tree(&entry)?;
        }
        self.remove_dir(name)
    }

    /// Sets the permission bits of a directory below, which need not be readable.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn set_dir_mode(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<(), DiskError> {
        let name = name.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        self.disk.call(
            Verb::SetMode,
            || self.shown(name),
            detail,
            || {
                let fd = rustix::fs::openat(&self.fd, name.as_bytes(), flags, Mode::empty())?;
                // The magic link leads to what is held, not to what has the name by now.
                let held = format!("/proc/self/fd/{}", fd.as_raw_fd());
                rustix::fs::chmod(held.as_str(), Mode::from_raw_mode(mode))
            },
        )
    }

    /// Sets the directory's own permission bits and mtime.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn set_own_meta(&self, mode: u32, mtime: Timestamp) -> Result<(), DiskError> {
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        self.disk.call(
            Verb::SetMode,
            || self.path.clone(),
            detail,
            || rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode)),
        )?;
        self.disk.call(
            Verb::SetTimes,
            || self.path.clone(),
            Detail::default(),
            || rustix::fs::futimens(&self.fd, &mtime_only(mtime)),
        )
    }

    /// Sets the mtime of an entry, of the link itself if it is one.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn set_mtime(&self, path: &str, mtime: Timestamp) -> Result<(), DiskError> {
        self.in_parent(path, |parent, name| {
            parent.disk.call(
                Verb::SetTimes,
                || parent.path.join(name),
                Detail::default(),
                || {
                    let times = mtime_only(mtime);
                    rustix::fs::utimensat(&parent.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)
                },
            )
        })
    }

    /// Makes the directory's entries durable.
    ///
    /// # Errors
    /// [`DiskError`]; trying again would prove nothing.
    pub fn sync(&self) -> Result<Synced, DiskError> {
        self.disk.call(
            Verb::SyncDir,
            || self.path.clone(),
            Detail::default(),
            || rustix::fs::fsync(&self.fd),
        )?;
        Ok(Synced::proof())
    }

    /// Makes the content of a file that is already there durable.
    ///
    /// # Errors
    /// [`DiskError`]; trying again would prove nothing.
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

    /// Makes everything on the directory's filesystem durable, and reports every write-back error since
    /// this handle was opened.
    ///
    /// # Errors
    /// [`DiskError`]; trying again would prove nothing.
    pub fn sync_filesystem(&self) -> Result<Synced, DiskError> {
        self.disk.call(
            Verb::SyncFilesystem,
            || self.path.clone(),
            Detail::default(),
            || rustix::fs::syncfs(&self.fd),
        )?;
        Ok(Synced::proof())
    }

    /// Runs `act` on the directory that holds `path` and the last component.
    fn in_parent<T>(
        &self,
        path: &str,
        act: impl FnOnce(&Self, &str) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        match path.rsplit_once('/') {
            Some((parent, name)) => act(&self.open_dir(parent)?, name),
            None => act(self, path),
        }
    }

    fn shown(&self, name: &OsStr) -> Utf8PathBuf {
        self.path.join(name.to_string_lossy().as_ref())
    }

    pub(super) fn error(&self, verb: &'static str, errno: Errno) -> DiskError {
        DiskError::new(verb, self.path.as_str(), errno)
    }

    fn error_at(&self, verb: &'static str, name: impl AsRef<OsStr>, errno: Errno) -> DiskError {
        DiskError::new(verb, self.shown(name.as_ref()).as_str(), errno)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

pub(super) fn stat_fd(fd: impl AsFd) -> Result<Stat, Errno> {
    statx(fd, b"", AtFlags::EMPTY_PATH)
}

/// `STATX_MNT_ID_UNIQUE`, and `STATX_MNT_ID` for kernels without it, which hand an id out again; rustix
/// has no name for either.
const MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000 | 0x1000);

fn statx(dir: impl AsFd, path: &[u8], flags: AtFlags) -> Result<Stat, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | MOUNT_ID;
    let told = rustix::fs::statx(dir, path, flags, wanted)?;
    let mask = StatxFlags::from_bits_retain(told.stx_mask);
    let time = |time: rustix::fs::StatxTimestamp| Timestamp::new(time.tv_sec, time.tv_nsec);
    Ok(Stat {
        kind: match FileType::from_raw_mode(told.stx_mode.into()) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        },
        identity: Identity {
            ino: told.stx_ino,
            born: if mask.contains(StatxFlags::BTIME) {
                time(told.stx_btime)
            } else {
                Timestamp::default()
            },
        },
        dev: rustix::fs::makedev(told.stx_dev_major, told.stx_dev_minor),
        mount: if mask.intersects(MOUNT_ID) {
            told.stx_mnt_id
        } else {
            0
        },
        size: told.stx_size,
        mode: u32::from(told.stx_mode) & 0o7777,
        mtime: time(told.stx_mtime),
        ctime: time(told.stx_ctime),
        links: told.stx_nlink,
        uid: told.stx_uid,
    })
}
