use std::fs::File;
use std::os::fd::AsFd;

use camino::Utf8Path;
use rustix::fs::{Mode, OFlags};

use super::{Disk, DiskError};
use crate::model::Stat;

impl Disk {
    /// Opens a file to read it, by a path that the caller vouches for: links on the way are followed.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn open_source(&self, path: &Utf8Path) -> Result<File, DiskError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::open(path.as_str(), flags, Mode::empty())
            .map(File::from)
            .map_err(|errno| DiskError::new("open", path.as_str(), errno))
    }

    /// What an open file is; `path` is for the message.
    ///
    /// # Errors
    /// [`DiskError`] as the filesystem says.
    pub fn stat_open(&self, file: impl AsFd, path: &str) -> Result<Stat, DiskError> {
        self.stat_fd(file)
            .map_err(|errno| DiskError::new("look at", path, errno))
    }
}
