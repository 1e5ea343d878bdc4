use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::acting::as_caller;
use super::named::open_named;
use super::resolve::open_beneath;
use super::{Disk, DiskError, Lacks};
use crate::model::{Access, Identity, Kind, Stat, Timestamp};

/// An open directory. Everything below it is reached through this handle only.
#[derive(Debug, Clone)]
pub struct Dir {
    pub(super) fd: Arc<OwnedFd>,
    pub(super) path: Utf8PathBuf,
    pub(super) disk: Disk,
    /// The access for files of the journal that are created here.
    pub(super) access: Access,
    /// Whether this process made it, and may say whose it is.
    pub(super) is_made_here: bool,
}

pub(super) const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory by a path that the caller supplied. Links in it are followed; root follows a link of another user
    /// only to entries of that user.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn open(path: &Utf8Path, disk: Disk) -> Result<Self, DiskError> {
        let fd = open_named(
            rustix::fs::CWD,
            path.as_str(),
            path,
            DIR_FLAGS,
            disk.lacks(),
        )?;
        Ok(Self::of(fd, path.to_owned(), disk))
    }

    /// An open directory, with a path for messages.
    pub(super) fn of(fd: OwnedFd, path: Utf8PathBuf, disk: Disk) -> Self {
        Self {
            fd: Arc::new(fd),
            path,
            disk,
            access: Access::PRIVATE,
            is_made_here: false,
        }
    }

    /// Opens the parent directory of a path of the caller, and returns the name in it.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn above_named<'a>(path: &'a Utf8Path, disk: &Disk) -> Result<(Self, &'a str), DiskError> {
        let dir = path.parent().filter(|dir| !dir.as_str().is_empty());
        let dir = Self::open(dir.unwrap_or(Utf8Path::new(".")), disk.clone())?;
        Ok((dir, path.file_name().unwrap_or_default()))
    }

    /// Opens a directory by a path from this one, as [`Dir::open`] does.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn open_named(&self, path: &str) -> Result<Self, DiskError> {
        let shown = self.path.join(path);
        let fd = open_named(&self.fd, path, &shown, DIR_FLAGS, self.disk.lacks())?;
        Ok(self.child(fd, path))
    }

    /// Opens a directory below this one without following links.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `ELOOP` when a link is on the way.
    pub fn open_dir(&self, path: &str) -> Result<Self, DiskError> {
        let fd = self
            .open_beneath(path, DIR_FLAGS, Mode::empty())
            .map_err(|errno| self.error_at("open the directory", path, errno))?;
        Ok(self.child(fd, path))
    }

    /// Opens an entry of this directory as a directory; its name need not be UTF-8.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn open_child(&self, name: &OsStr) -> Result<Self, DiskError> {
        let flags = DIR_FLAGS | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, name.as_bytes(), flags, Mode::empty())
            .map_err(|errno| self.error_at("open the directory", name, errno))?;
        Ok(self.child(fd, &name.to_string_lossy()))
    }

    /// The parent directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn parent(&self) -> Result<Self, DiskError> {
        self.above(self.path.join(".."))
    }

    /// The parent directory, with this path for messages.
    pub(crate) fn above(&self, path: Utf8PathBuf) -> Result<Self, DiskError> {
        let fd = rustix::fs::openat(&self.fd, "..", DIR_FLAGS, Mode::empty())
            .map_err(|errno| self.error("open the directory above", errno))?;
        let above = self.child(fd, "..");
        Ok(Self { path, ..above })
    }

    /// The same directory through a new open file description, which has locks of its own.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn reopen(&self) -> Result<Self, DiskError> {
        let fd = rustix::fs::openat(&self.fd, ".", DIR_FLAGS, Mode::empty())
            .map_err(|errno| self.error("open the directory", errno))?;
        Ok(Self {
            fd: Arc::new(fd),
            ..self.clone()
        })
    }

    /// Opens an entry beneath this directory without following links.
    pub(super) fn open_beneath(
        &self,
        path: &str,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, Errno> {
        open_beneath(&self.fd, path, flags, mode, self.disk.lacks())
    }

    fn child(&self, fd: OwnedFd, path: &str) -> Self {
        Self {
            fd: Arc::new(fd),
            path: self.path.join(path),
            disk: self.disk.clone(),
            access: self.access,
            is_made_here: false,
        }
    }

    /// Whether both are clones of one open directory.
    pub(crate) fn is_same_handle(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.fd, &other.fd)
    }

    /// The path it was opened by, for messages.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The [`Disk`] that the directory uses.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The `stat` of the directory itself.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn own_stat(&self) -> Result<Stat, DiskError> {
        self.disk
            .stat_fd(&self.fd)
            .map_err(|errno| self.error("look at", errno))
    }

    /// The `stat` of what its path names now, following links; `None` if nothing.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn stat_by_path(&self) -> Result<Option<Stat>, DiskError> {
        self.disk.stat_at(&self.path)
    }

    /// The `stat` of an open file of this directory.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn stat_open(&self, file: &File) -> Result<Stat, DiskError> {
        self.disk
            .stat_fd(file)
            .map_err(|errno| self.error("inspect a file of", errno))
    }

    /// The `stat` of an entry; `None` if there is none. A link is not followed.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn stat(&self, path: impl AsRef<OsStr>) -> Result<Option<Stat>, DiskError> {
        let path = path.as_ref();
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match statx(&self.fd, path.as_bytes(), flags, self.disk.lacks()) {
            Ok(stat) => Ok(Some(self.disk.seen(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error_at("look at", path, errno)),
        }
    }

    /// The names of all entries, unordered.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
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

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`DiskError`] when the entry is not a link, or its target is not UTF-8.
    pub fn read_link(&self, name: &str) -> Result<String, DiskError> {
        let error = |errno| self.error_at("read the link", name, errno);
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).map_err(error)?;
        target.into_string().map_err(|_| error(Errno::ILSEQ))
    }

    /// Opens a regular file for reading without following links, and without blocking on a fifo.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails; `EINVAL` for a device, socket or fifo, `EISDIR` for a directory.
    pub fn open_file(&self, path: &str) -> Result<File, DiskError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = self.open_beneath(path, flags, Mode::empty());
        let file = File::from(opened.map_err(|errno| self.error_at("open", path, errno))?);
        match self.stat_open(&file)?.kind {
            Kind::File => Ok(file),
            Kind::Dir => Err(self.error_at("open", path, Errno::ISDIR)),
            Kind::Link | Kind::Other => Err(self.error_at("open", path, Errno::INVAL)),
        }
    }

    /// Checks that this process may read a file, without opening it.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails: `EACCES` if it may not.
    pub(crate) fn check_readable(&self, name: &str) -> Result<(), DiskError> {
        let (may, flags) = (rustix::fs::Access::READ_OK, AtFlags::EACCESS);
        rustix::fs::accessat(&self.fd, name, may, flags)
            .map_err(|errno| self.error_at("read", name, errno))
    }

    /// Opens a file right below this directory as [`Dir::open_file`] does; its name need not be UTF-8.
    pub(crate) fn open_child_file(&self, name: &OsStr) -> Result<File, DiskError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, name.as_bytes(), flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| self.error_at("open", name, errno))
    }

    /// The content of a small file of the journal, truncated to `bytes_max`; `None` if it is missing.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
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

    /// Hashes an open file of this directory.
    ///
    /// # Errors
    /// [`DiskError`] when it cannot be read.
    pub fn hash(&self, file: &File, name: &str) -> Result<crate::model::Digest, DiskError> {
        self.disk.hash(file, &self.path.join(name))
    }

    pub(crate) fn shown(&self, name: &OsStr) -> Utf8PathBuf {
        self.path.join(name.to_string_lossy().as_ref())
    }

    pub(super) fn error(&self, verb: &'static str, errno: Errno) -> DiskError {
        DiskError::new(verb, self.path.as_str(), errno)
    }

    pub(super) fn error_at(
        &self,
        verb: &'static str,
        name: impl AsRef<OsStr>,
        errno: Errno,
    ) -> DiskError {
        DiskError::new(verb, self.shown(name.as_ref()).as_str(), errno)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `STATX_MNT_ID_UNIQUE`, and `STATX_MNT_ID` for older kernels, which reuse ids. rustix has no name for either.
const MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000 | 0x1000);

/// The `stat` of what a path names now, following links; `None` if nothing.
pub(super) fn stat_by_path(disk: &Disk, path: &Utf8Path) -> Result<Option<Stat>, Errno> {
    let (here, path) = (rustix::fs::CWD, path.as_str().as_bytes());
    match as_caller(|| statx(here, path, AtFlags::empty(), disk.lacks())) {
        Ok(stat) => Ok(Some(disk.seen(stat))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

pub(super) fn statx(
    dir: impl AsFd,
    path: &[u8],
    flags: AtFlags,
    lacks: Lacks,
) -> Result<Stat, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | MOUNT_ID;
    let told = rustix::fs::statx(dir, path, flags, wanted)?;
    let mask = StatxFlags::from_bits_retain(told.stx_mask);
    let has = |attribute| told.stx_attributes.contains(attribute);
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
            born: if mask.contains(StatxFlags::BTIME) && !lacks.birth_times {
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
        held: told.stx_blocks.saturating_mul(512),
        mode: u32::from(told.stx_mode) & 0o7777,
        mtime: time(told.stx_mtime),
        ctime: time(told.stx_ctime),
        links: told.stx_nlink,
        uid: told.stx_uid,
        gid: told.stx_gid,
        immutable: has(StatxAttributes::IMMUTABLE),
        append_only: has(StatxAttributes::APPEND),
    })
}
