use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::acting::is_root;
use super::named::open_named;
use super::{Detail, Dir, Disk, DiskError, Pipe, Verb};
use crate::model::Stat;

/// A source of content that the caller names.
#[derive(Debug)]
pub enum Source {
    /// A regular file, or a directory.
    File(File),
    /// A pipe, which can be read once; also `/dev/null`.
    Pipe(Pipe),
}

impl Disk {
    /// Opens a file or a pipe for reading once, by a path that the caller supplied: links in it are followed as
    /// [`Dir::open`] does. Does not block.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails, and for a socket or a device other than `/dev/null`, naming its kind.
    pub fn open_source(&self, path: &Utf8Path) -> Result<Source, DiskError> {
        let refuse = |what: &str| {
            let source = io::Error::new(io::ErrorKind::InvalidInput, format!("it is a {what}"));
            DiskError::new("read", path.as_str(), source)
        };
        let file = match self.open_source_at_once(path) {
            Err(error) if error.is(Errno::NXIO) => return Err(refuse("socket")),
            opened => opened?,
        };
        let told = rustix::fs::fstat(&file)
            .map_err(|errno| DiskError::new("look at", path.as_str(), errno))?;
        match FileType::from_raw_mode(told.st_mode) {
            FileType::RegularFile | FileType::Directory => Ok(Source::File(file)),
            FileType::Fifo => Ok(Source::Pipe(Pipe::new(file, path))),
            // Only `/dev/null`, which is always empty: reading another device may never end or may have side effects.
            FileType::CharacterDevice if told.st_rdev == rustix::fs::makedev(1, 3) => {
                Ok(Source::Pipe(Pipe::new(file, path)))
            }
            _ => Err(refuse("device")),
        }
    }

    /// The same for regular files only, without blocking on a fifo.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn open_source_at_once(&self, path: &Utf8Path) -> Result<File, DiskError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        open_named(CWD, path.as_str(), path, flags, self.lacks()).map(File::from)
    }

    /// Opens a file or directory for locking, by a path that the caller supplied: links in it are followed as
    /// [`Dir::open`] does. A missing file is created.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn open_lock_at(&self, path: &Utf8Path) -> Result<File, DiskError> {
        // As flock(1) does; a fifo or a terminal must not block the caller.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let opened = match open_named(CWD, path.as_str(), path, flags, self.lacks()) {
            Err(error) if error.is(Errno::NOENT) => {
                let (dir, name) = Dir::above_missing(path, self)?;
                let (shown, mode) = (|| path.to_owned(), Mode::from_raw_mode(0o666));
                let mut flags = flags | OFlags::CREATE;
                if is_root() {
                    // The name may lead to another file by now, which was not checked.
                    flags |= OFlags::NOFOLLOW;
                }
                self.call(Verb::CreateFile, shown, Detail::default(), || {
                    dir.as_its_owner(|| rustix::fs::openat(&dir, name.as_os_str(), flags, mode))
                })
            }
            opened => opened,
        };
        opened.map(File::from)
    }

    /// The real path of what a path leads to, following links; if nothing is there, of its directory with the name
    /// added. Only `O_PATH` handles are opened.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn real_path_of(&self, path: &Utf8Path) -> Result<Utf8PathBuf, DiskError> {
        let failed = |errno| DiskError::new("find", path.as_str(), errno);
        let open = |path: &str| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty())
        };
        let (fd, name) = match open(path.as_str()) {
            Err(Errno::NOENT) => {
                let dir = path.parent().filter(|dir| !dir.as_str().is_empty());
                let dir = open(dir.map_or(".", Utf8Path::as_str)).map_err(failed)?;
                (dir, path.file_name())
            }
            opened => (opened.map_err(failed)?, None),
        };
        let real = super::system::real_path_of(&fd).map_err(failed)?;
        Ok(name.map_or(real.clone(), |name| real.join(name)))
    }

    /// The `stat` of a path, following links; `None` if nothing is there.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn stat_at(&self, path: &Utf8Path) -> Result<Option<Stat>, DiskError> {
        super::dir::stat_by_path(self, path)
            .map_err(|errno| DiskError::new("look at", path.as_str(), errno))
    }

    /// The `stat` of an open file; `path` is for the message.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn stat_open(&self, file: impl AsFd, path: &str) -> Result<Stat, DiskError> {
        self.stat_fd(file)
            .map_err(|errno| DiskError::new("look at", path, errno))
    }
}
