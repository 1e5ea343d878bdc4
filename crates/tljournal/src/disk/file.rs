use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::acting::{Owner, is_root};
use super::{Detail, Dir, Disk, DiskError, Piece, Sparse, SparseFile, Verb, each_piece};
use crate::model::{Digest, Hasher, Stat, Timestamp};
use crate::workers;

/// The size of the buffer for reading, hashing and writing.
const COPY_CHUNK_BYTES: usize = 256 << 10;

/// A newly created file that no reader has opened yet.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    disk: Disk,
    path: Utf8PathBuf,
    written: u64,
}

/// Proof that something was synced; only a successful sync creates one.
#[derive(Debug)]
pub struct Synced(());

impl Synced {
    pub(super) fn proof() -> Self {
        Self(())
    }
}

/// The largest number of concurrent syncs.
const SYNCS_MAX: usize = 20;

/// Something to be synced.
#[derive(Debug, Clone, Copy)]
pub enum Unsynced<'a> {
    /// The content of a new file.
    File(&'a NewFile),
    /// The entries of a directory.
    Dir(&'a Dir),
}

impl Unsynced<'_> {
    fn sync(self) -> Result<Synced, DiskError> {
        match self {
            Self::File(file) => file.sync(),
            Self::Dir(dir) => dir.sync(),
        }
    }
}

impl Disk {
    /// Syncs several things concurrently in threads, so that the filesystem serves all of them with one commit of its
    /// journal. With a witness they are synced in order, one after the other.
    ///
    /// # Errors
    /// The first [`DiskError`], after every sync has ended.
    pub fn sync_together(&self, unsynced: &[Unsynced<'_>]) -> Result<Synced, DiskError> {
        for unsynced in unsynced {
            if let Unsynced::File(file) = unsynced {
                file.begin_writeback();
            }
        }
        if self.witness.is_some() {
            for unsynced in unsynced {
                unsynced.sync()?;
            }
            return Ok(Synced::proof());
        }
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let sync = || {
            while let Some(unsynced) = unsynced.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = unsynced.sync() {
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    failure.get_or_insert(error);
                }
            }
        };
        workers::together(unsynced.len().min(SYNCS_MAX), sync);
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(Synced::proof()), Err)
    }
}

impl NewFile {
    pub(super) fn new(file: File, disk: Disk, path: Utf8PathBuf) -> Self {
        Self {
            file,
            disk,
            path,
            written: 0,
        }
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Appends the whole content of a regular file, keeping holes; returns its length and digest. `source` names the
    /// file in messages. A file that changes meanwhile may be copied inconsistently: the caller compares its `stat`
    /// before and after.
    ///
    /// # Errors
    /// [`DiskError`] when reading or writing fails.
    pub fn copy_from(
        &mut self,
        file: &File,
        source: &Utf8Path,
    ) -> Result<(u64, Digest), DiskError> {
        let failed = super::read_error(source);
        let stat = self.disk.stat_open(file, source.as_str())?;
        let mut content = SparseFile::new(file, &stat).map_err(&failed)?;
        self.fill(&mut content, failed)
    }

    /// Appends content up to its end, keeping holes; returns its length and digest. `failed` converts a read error.
    ///
    /// # Errors
    /// [`DiskError`] when reading or writing fails.
    pub fn fill(
        &mut self,
        content: &mut dyn Sparse,
        failed: impl Fn(io::Error) -> DiskError,
    ) -> Result<(u64, Digest), DiskError> {
        let (mut hasher, mut bytes) = (Hasher::default(), 0);
        let mut chunk = vec![0; COPY_CHUNK_BYTES];
        each_piece(content, &mut chunk, failed, |piece| {
            piece.add_to(&mut hasher);
            bytes += piece.bytes();
            self.append(piece)
        })?;
        Ok((bytes, hasher.finish()))
    }

    /// Appends a piece of content. A hole occupies no space.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn append(&mut self, piece: Piece<'_>) -> Result<(), DiskError> {
        match piece {
            Piece::Bytes(bytes) => self
                .write_all(bytes)
                .map_err(|error| DiskError::of_write(self.path.as_str(), error)),
            Piece::Hole(length) => {
                let end = self.written.saturating_add(length);
                let detail = Detail {
                    offset: end,
                    ..Detail::default()
                };
                self.disk.call(
                    Verb::Truncate,
                    || self.path.clone(),
                    detail,
                    || rustix::fs::ftruncate(&self.file, end),
                )?;
                self.written = end;
                Ok(())
            }
        }
    }

    /// Its path, for messages.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Sets the permission bits.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn set_mode(&self, mode: u32) -> Result<(), DiskError> {
        let detail = Detail {
            offset: mode.into(),
            ..Detail::default()
        };
        self.disk.call(
            Verb::SetMode,
            || self.path.clone(),
            detail,
            || rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)),
        )
    }

    /// Changes the owner of the file, if this process is root. That clears set-id bits, so they are set afterwards.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub(crate) fn give_to(&self, owner: Owner) -> Result<(), DiskError> {
        give(&self.disk, &self.file, owner, || self.path.clone())
    }

    /// Sets the mtime; the access time is not changed.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn set_mtime(&self, mtime: Timestamp) -> Result<(), DiskError> {
        self.disk.call(
            Verb::SetTimes,
            || self.path.clone(),
            Detail::default(),
            || rustix::fs::futimens(&self.file, &mtime_only(mtime)),
        )
    }

    /// The current `stat` of the file.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn stat(&self) -> Result<Stat, DiskError> {
        self.disk
            .stat_fd(&self.file)
            .map_err(|errno| DiskError::new("look at", self.path.as_str(), errno))
    }

    /// Starts write-back of the content without waiting, so that files synced afterwards share one commit of the
    /// filesystem's journal.
    pub fn begin_writeback(&self) {
        // This advice starts write-back of dirty pages; an error costs only time.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    /// Makes content and inode durable.
    ///
    /// # Errors
    /// [`DiskError`]; the content is lost then, and a second sync would prove nothing.
    pub fn sync(&self) -> Result<Synced, DiskError> {
        self.disk.call(
            Verb::SyncFile,
            || self.path.clone(),
            Detail::default(),
            || rustix::fs::fsync(&self.file),
        )?;
        Ok(Synced::proof())
    }

    /// The file, for reading or keeping open.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }
}

impl Write for NewFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let data = &data[..self.disk.write_bytes_max().min(data.len())];
        let detail = Detail {
            offset: self.written,
            data,
            ..Detail::default()
        };
        let count = self
            .disk
            .call(
                Verb::Write,
                || self.path.clone(),
                detail,
                || rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.file, data, self.written)),
            )
            .map_err(|error| io::Error::new(error.io().kind(), error))?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for NewFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Changes the owner of an open file, if this process is root. A filesystem without owners is left as it is.
pub(super) fn give(
    disk: &Disk,
    fd: impl AsFd,
    owner: Owner,
    path: impl Fn() -> Utf8PathBuf,
) -> Result<(), DiskError> {
    if !is_root() {
        return Ok(());
    }
    let failed = |errno| DiskError::new("look at", path().as_str(), errno);
    let stat = disk.stat_fd(&fd).map_err(failed)?;
    if Owner::of(&stat) == owner {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    let (flags, detail) = (AtFlags::EMPTY_PATH, Detail::default());
    let given = disk.call(Verb::SetOwner, &path, detail, || {
        rustix::fs::chownat(&fd, c"", Some(user), Some(group), flags)
    });
    match given {
        Err(error) if error.is_missing_feature() || error.is(Errno::PERM) => {
            tracing::debug!(%error, "the owner is not changed");
            Ok(())
        }
        given => given,
    }
}

pub(super) fn mtime_only(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.secs(),
            tv_nsec: mtime.nanos().into(),
        },
    }
}
