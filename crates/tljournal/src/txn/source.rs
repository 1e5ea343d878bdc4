//! Files of the caller's that are read as content.
//!
//! What is recorded of content is what was read, and that has to be one version of the file: every copied file
//! goes through a [`Source`], which tells whether it was written to meanwhile.

use std::fs::File;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use crate::apply;
use crate::disk::{Disk, DiskError};
use crate::error::{Conflict, ConflictKind, Error};
use crate::model::{Digest, Kind, RelPath, Stat};

/// How often a file that changes while it is read is read again.
pub(super) const READS_MAX: u32 = 3;

/// A regular file that is being read, and what it was before.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: File,
    /// What it was when it was opened.
    pub(super) stat: Stat,
    path: Utf8PathBuf,
    disk: Disk,
    /// Whether it was changed so shortly before that a further change may have the same ctime.
    is_racy: bool,
}

impl Source {
    pub(super) fn open(disk: &Disk, path: &Utf8Path) -> Result<Self, DiskError> {
        let file = disk.open_source_at_once(path)?;
        let stat = disk.stat_open(&file, path.as_str())?;
        match stat.kind {
            Kind::File => Ok(Self {
                file,
                stat,
                path: path.to_owned(),
                disk: disk.clone(),
                is_racy: !apply::is_settled(stat.ctime),
            }),
            Kind::Dir => Err(DiskError::new("read", path.as_str(), Errno::ISDIR)),
            Kind::Link | Kind::Other => Err(DiskError::new("read", path.as_str(), Errno::INVAL)),
        }
    }

    /// The digest of its content; `None` if that changed meanwhile.
    pub(super) fn hash(&self) -> Result<Option<Digest>, DiskError> {
        let digest = self.disk.hash(&self.file, &self.path)?;
        Ok(self.is_steady(digest)?.then_some(digest))
    }

    /// Whether content with this digest, which was read since it was opened, is one version of it.
    pub(super) fn is_steady(&self, digest: Digest) -> Result<bool, DiskError> {
        let now = self.now()?;
        Ok(now.is_unchanged_since(&self.stat) && self.is_what_was_read(digest)?)
    }

    /// The same for a file that was given a further name meanwhile, which moves its ctime.
    pub(super) fn is_steady_but_for_names(&self, digest: Digest) -> Result<bool, DiskError> {
        let ctime = self.stat.ctime;
        let now = Stat {
            ctime,
            ..self.now()?
        };
        Ok(now.is_unchanged_since(&self.stat) && self.is_what_was_read(digest)?)
    }

    pub(super) fn now(&self) -> Result<Stat, DiskError> {
        self.disk.stat_open(&self.file, self.path.as_str())
    }

    /// Reads it again where its times cannot tell. What has no size (below `/proc`) is made anew by each read.
    fn is_what_was_read(&self, digest: Digest) -> Result<bool, DiskError> {
        let is_told = !self.is_racy || self.stat.size == 0;
        Ok(is_told || self.disk.hash(&self.file, &self.path)? == digest)
    }

    /// Why it cannot be the content of what was to be at `target`.
    pub(super) fn changed(path: &Utf8Path, target: &RelPath) -> Error {
        let file = path.as_str().escape_debug().to_string();
        Conflict::at(target, ConflictKind::SourceChanged { file }).into()
    }
}
