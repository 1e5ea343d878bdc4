//! The only module that accesses the filesystem.
//!
//! All operations use directory handles ([`Dir`]): a path is resolved beneath a handle and never through a symbolic
//! link. Every mutating call is reported to a [`Witness`], which can record it, refuse it, or end the process before
//! or after it. Crash tests use this seam.
//!
//! # Assumptions about filesystems
//!
//! 1. `rename`, with or without `RENAME_NOREPLACE` or `RENAME_EXCHANGE`, is atomic for other processes, and after a
//!    power cut it either has happened or has not.
//! 2. `fsync` of a file makes its content and inode durable, `fsync` of a directory the entries created in it before;
//!    `syncfs` does both for everything, and reports write-back errors since its handle was opened (on FUSE it does
//!    nothing). A symbolic link, which cannot be opened, becomes durable with its directory. Without a sync nothing
//!    is assumed durable, and no order either.
//! 3. A failed `fsync` of content is final, because the pages are marked clean: it is never retried and the staged
//!    content is given up. A failed `fsync` of a directory is final until the filesystem is mounted again: names are
//!    in its own journal, and it stops when that cannot be written (ext2 has no journal, so a name could be lost).
//! 4. `flock` excludes any two processes that see the directory.
//! 5. An inode number with its birth time is never reused.

mod acting;
mod attributes;
mod change;
mod closed;
mod copy;
mod data;
mod descent;
mod dir;
mod file;
mod make;
mod named;
mod obstacle;
mod own;
mod pipe;
mod reader;
mod resolve;
mod source;
mod sparse;
mod survey;
mod system;
mod watch;
mod witness;

pub(crate) use acting::{Acting, Owner, forget_rights, is_root, mode_of, writer};
pub(crate) use attributes::is_own_of_root;
pub(crate) use data::data_in;
pub(crate) use descent::{Descent, Step};
pub use dir::Dir;
pub use file::{NewFile, Synced, Unsynced};
pub(crate) use obstacle::removal;
pub use pipe::Pipe;
pub(crate) use reader::CLOSED_MODE_MASK;
pub use source::Source;
pub(crate) use sparse::HOLE_BYTES_MAX;
pub use sparse::{Dense, Piece, Sparse, SparseFile, each_piece};
pub(crate) use survey::Survey;
pub(crate) use system::may_enter;
pub use system::{Features, FilesystemKind};
pub use witness::{Call, Lacks, Verb, Witness};

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::model::{Digest, Hasher, Identity, Stat};

/// The size of the buffer for hashing a file.
const HASH_CHUNK_BYTES: usize = 128 << 10;

/// Access to the filesystem, optionally through a [`Witness`].
#[derive(Clone, Default)]
pub struct Disk {
    witness: Option<Arc<dyn Witness>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("witnessed", &self.witness.is_some())
            .finish()
    }
}

impl Disk {
    /// A disk that reports all mutating calls to `witness`.
    #[must_use]
    pub fn witnessed(witness: Arc<dyn Witness>) -> Self {
        Self {
            witness: Some(witness),
        }
    }

    /// Removes a file that the caller names, if it is still this inode.
    ///
    /// # Errors
    /// [`DiskError`] when the call fails.
    pub fn remove_source(&self, path: &Utf8Path, identity: Identity) -> Result<(), DiskError> {
        let (dir, name) = Dir::above_named(path, self)?;
        match dir.stat(name)? {
            Some(stat) if stat.identity == identity => dir.remove_file(name),
            _ => Ok(()),
        }
    }

    /// Hashes a whole file, whatever its position. Of a file that grows meanwhile, little more than the initial
    /// length is read.
    ///
    /// # Errors
    /// [`DiskError`] when it cannot be read.
    pub fn hash(&self, file: &File, path: &Utf8Path) -> Result<Digest, DiskError> {
        let (mut hasher, failed) = (Hasher::default(), read_error(path));
        let stat = self.stat_open(file, path.as_str())?;
        // One byte more than a small file has, so that one read reaches its end.
        let small = usize::try_from(stat.size.saturating_add(1)).unwrap_or(HASH_CHUNK_BYTES);
        let mut chunk = vec![0; small.min(HASH_CHUNK_BYTES)];
        let mut content = SparseFile::new(file, &stat).map_err(&failed)?;
        each_piece(&mut content, &mut chunk, failed, |piece| {
            piece.add_to(&mut hasher);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    /// The result of a `statx`, as the witness changes it.
    fn seen(&self, mut stat: Stat) -> Stat {
        if let Some(witness) = &self.witness {
            witness.found(&mut stat);
        }
        stat
    }

    /// Whether calls must be made by one thread in a reproducible order.
    pub(crate) fn is_witnessed(&self) -> bool {
        self.witness.is_some()
    }

    /// The features to treat as missing.
    pub(crate) fn lacks(&self) -> Lacks {
        let witness = self.witness.as_ref();
        witness.map(|witness| witness.lacks()).unwrap_or_default()
    }

    /// The `stat` of an open file or directory.
    fn stat_fd(&self, fd: impl AsFd) -> rustix::io::Result<Stat> {
        dir::statx(fd, b"", AtFlags::EMPTY_PATH, self.lacks()).map(|stat| self.seen(stat))
    }

    /// The largest size of one write.
    fn write_bytes_max(&self) -> usize {
        let witness = self.witness.as_ref();
        let cut = witness.and_then(|witness| witness.write_bytes_max());
        cut.unwrap_or(usize::MAX)
    }

    /// Makes one mutating call.
    fn call<T>(
        &self,
        verb: Verb,
        path: impl Fn() -> Utf8PathBuf,
        detail: Detail<'_>,
        make: impl FnOnce() -> rustix::io::Result<T>,
    ) -> Result<T, DiskError> {
        let made = match &self.witness {
            None => make().map_err(io::Error::from),
            Some(witness) => {
                let path = path();
                let call = Call {
                    verb,
                    path: &path,
                    other: detail.other.map(|other| other()),
                    offset: detail.offset,
                    data: detail.data,
                };
                witness.before(&call).and_then(|()| {
                    let made = make().map_err(io::Error::from);
                    witness.after(&call, made.as_ref().map(|_| ()));
                    made
                })
            }
        };
        made.map_err(|source| DiskError::new(verb.phrase(), path().as_str(), source))
    }
}

/// Converts a read error.
fn read_error(path: &Utf8Path) -> impl Fn(io::Error) -> DiskError {
    move |source| DiskError::new("read", path.as_str(), source)
}

/// The details of a call that a witness receives besides its path.
#[derive(Default, Clone, Copy)]
struct Detail<'a> {
    other: Option<&'a dyn Fn() -> Utf8PathBuf>,
    offset: u64,
    data: &'a [u8],
}

/// A call to the filesystem failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} `{path}`")]
pub struct DiskError {
    verb: &'static str,
    path: String,
    source: io::Error,
}

impl DiskError {
    pub(crate) fn new(verb: &'static str, path: &str, source: impl Into<io::Error>) -> Self {
        Self {
            verb,
            path: path.escape_debug().to_string(),
            source: source.into(),
        }
    }

    /// Whether something other than a file is in the place of a file.
    pub(crate) fn is_about_kind(&self) -> bool {
        use rustix::io::Errno;
        let kinds = [
            Errno::LOOP,
            Errno::ISDIR,
            Errno::NXIO,
            Errno::MLINK,
            Errno::NOTDIR,
            Errno::INVAL,
        ];
        kinds.iter().any(|errno| self.is(*errno))
    }

    /// The filesystem's error.
    #[must_use]
    pub fn io(&self) -> &io::Error {
        &self.source
    }

    /// The path of the failed call, escaped.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn is(&self, errno: rustix::io::Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }

    /// The error inside an error returned by the `Write` of a [`NewFile`].
    pub(crate) fn of_write(path: &str, error: io::Error) -> Self {
        error
            .downcast()
            .unwrap_or_else(|error| Self::new("write", path, error))
    }

    /// Whether the filesystem or the kernel does not support the operation.
    #[must_use]
    pub fn is_missing_feature(&self) -> bool {
        use rustix::io::Errno;
        [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]
            .iter()
            .any(|errno| self.is(*errno))
    }

    /// Whether the filesystem or the kernel does not support this kind of lock.
    #[must_use]
    pub fn is_missing_lock(&self) -> bool {
        self.is_missing_feature() || self.is(rustix::io::Errno::NOLCK)
    }

    /// Whether space, inodes or quota ran out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use rustix::io::Errno;
        self.is(Errno::NOSPC) || self.is(Errno::DQUOT)
    }
}

/// Makes a path absolute without resolving links: the same project may be reached by two paths, and each stays as
/// given.
pub(crate) fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf, DiskError> {
    camino::absolute_utf8(path).map_err(|source| DiskError::new("find", path.as_str(), source))
}

#[cfg(test)]
mod tests;

/// `None` if the path does not exist, is not a directory, or is behind a link.
pub(crate) fn unless_gone<T>(told: Result<T, DiskError>) -> Result<Option<T>, DiskError> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error)
            if [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
                .iter()
                .any(|errno| error.is(*errno)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
